//! A run is killed at each request that changes the store. The previous export stays readable through the manifest, and
//! the next run continues.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::buckets::{Bucket, assert_exit};
use crate::support::fake_s3::{MOMENT, StoreAction};
use crate::support::print_note;

/// When a run is killed: at which change, and whether the store executes it.
struct Kill {
    /// Changes left until the kill; 0 is never.
    left: AtomicUsize,
    is_executed: AtomicBool,
    /// The process; 0 until it is known.
    process: AtomicI32,
    is_done: AtomicBool,
}

/// A bucket whose store kills the process.
fn bucket_with(kill: &Arc<Kill>) -> Bucket {
    let kill = Arc::clone(kill);
    Bucket::with_rule(move |request| {
        let take = |left: usize| left.checked_sub(1);
        let left = request.is_change().then(|| {
            let order = Ordering::SeqCst;
            kill.left.fetch_update(order, order, take)
        });
        if left != Some(Ok(1)) {
            return StoreAction::Execute;
        }
        let process = loop {
            match kill.process.load(Ordering::SeqCst) {
                0 => std::thread::sleep(MOMENT),
                process => break process,
            }
        };
        // Before the kill, whose effect the test waits for.
        kill.is_done.store(true, Ordering::SeqCst);
        kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
        if kill.is_executed.load(Ordering::SeqCst) {
            StoreAction::Execute
        } else {
            StoreAction::Fail(500, "Killed", "killed")
        }
    })
}

/// Sets a flag when it is dropped.
struct OnDrop<'f>(&'f AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_kill_at_each_change_of_the_store_leaves_a_whole_export() {
    let kill = Arc::new(Kill {
        left: AtomicUsize::new(0),
        is_executed: AtomicBool::new(false),
        process: AtomicI32::new(0),
        is_done: AtomicBool::new(false),
    });
    let bucket = bucket_with(&kill);
    assert_exit(&bucket.export("before", 2, &[]), 0);
    let objects: Vec<(String, Vec<u8>)> = bucket
        .store
        .names()
        .into_iter()
        .map(|name| (name.clone(), bucket.store.object(&name).unwrap()))
        .collect();
    let is_over = AtomicBool::new(false);
    // Held while the store goes back to the export before.
    let reset = Mutex::new(());
    let mut cases = 0;
    std::thread::scope(|scope| {
        // It never sees a mixture: every object that a manifest names is there and is the right one.
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::SeqCst) {
                let unchanged = reset.lock().unwrap();
                let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    bucket.read_through_manifest()
                }));
                assert!(read.is_ok_and(|read| read.is_some()), "after {reads} reads");
                reads += 1;
                drop(unchanged);
                std::thread::sleep(MOMENT);
            }
            reads
        });
        // Also when an assertion fails, which otherwise would wait for the reader.
        let ends_reader = OnDrop(&is_over);
        for number in 1.. {
            let executed = number % 2 == 0;
            let state = format!("state-{number}");
            copy(&bucket.path("before"), &bucket.path(&state));
            let resetting = reset.lock().unwrap();
            for name in bucket.store.names() {
                bucket.store.remove(&name);
            }
            for (name, bytes) in &objects {
                bucket.store.put(name, bytes);
            }
            drop(resetting);
            kill.process.store(0, Ordering::SeqCst);
            kill.is_done.store(false, Ordering::SeqCst);
            kill.is_executed.store(executed, Ordering::SeqCst);
            kill.left.store(number, Ordering::SeqCst);
            let mut command = bucket.command(&state, 4, &[]);
            let mut child = command.stderr(Stdio::null()).spawn().unwrap();
            let process = i32::try_from(child.id()).unwrap();
            kill.process.store(process, Ordering::SeqCst);
            let status = child.wait().unwrap();
            kill.left.store(0, Ordering::SeqCst);
            let was_killed = kill.is_done.load(Ordering::SeqCst);
            assert_eq!(status.success(), !was_killed);
            let exported = &bucket.manifest().unwrap()["ids"]["exported"];
            assert!(*exported == 2 || *exported == 4, "{exported}");
            assert_exit(&bucket.export(&state, 4, &[]), 0);
            assert_eq!(bucket.manifest().unwrap()["ids"]["exported"], 4);
            bucket.assert_stable_names();
            if !was_killed {
                break;
            }
            cases += 1;
        }
        drop(ends_reader);
        let reads = reader.join().unwrap();
        print_note(&format!("{cases} kills, {reads} reads of a whole export"));
    });
    // The probe, the files and their copies, and the manifest.
    assert!(cases > 10, "{cases}");
}
