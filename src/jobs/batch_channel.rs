//! A channel that passes items in batches: waking a thread for each item would cost as much as handling it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a batch after which it is sent.
const BUNDLE_BYTES: usize = 256 << 10;

/// The maximum number of waiting batches. With the one being filled and the one being read, at most four batches are in
/// memory, or four items that are larger than a batch.
const WAITING_BUNDLES: usize = 2;

/// Creates a channel.
pub(crate) fn channel<T>() -> (Bundler<T>, Receiver<Vec<T>>) {
    let (sender, receiver) = sync_channel(WAITING_BUNDLES);
    let bundler = Bundler {
        sender,
        bundle: Vec::new(),
        bytes: 0,
    };
    (bundler, receiver)
}

/// The receiver has ended. It reports why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NobodyListens;

/// The sending end.
#[derive(Debug)]
pub(crate) struct Bundler<T> {
    sender: SyncSender<Vec<T>>,
    bundle: Vec<T>,
    bytes: usize,
}

impl<T> Bundler<T> {
    /// Sends an item, now or with later ones. `bytes` is the memory that it takes on the heap.
    pub(crate) fn push(&mut self, thing: T, bytes: usize) -> Result<(), NobodyListens> {
        self.bytes += size_of::<T>() + bytes;
        self.bundle.push(thing);
        if self.bytes >= BUNDLE_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Sends the items that wait.
    pub(crate) fn flush(&mut self) -> Result<(), NobodyListens> {
        if self.bundle.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let bundle = std::mem::take(&mut self.bundle);
        self.sender.send(bundle).map_err(|_| NobodyListens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_and_several_at_once() {
        let (mut bundler, received) = channel();
        for number in 0..3 {
            bundler.push(number, 0).unwrap();
        }
        assert!(received.try_recv().is_err());
        bundler.push(3, BUNDLE_BYTES).unwrap();
        assert_eq!(received.recv(), Ok(vec![0, 1, 2, 3]));
        bundler.push(4, 0).unwrap();
        bundler.flush().unwrap();
        assert_eq!(received.recv(), Ok(vec![4]));
        drop(received);
        bundler.push(5, 0).unwrap();
        assert_eq!(bundler.flush(), Err(NobodyListens));
    }
}
