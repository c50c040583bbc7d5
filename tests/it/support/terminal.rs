//! A terminal: a pseudo-terminal that a program runs in, and the screen that its output makes.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, ExitStatus};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What a terminal shows after some output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    escape: Option<String>,
    /// All that was written.
    pub(crate) output: String,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![Vec::new()],
            ..Self::default()
        }
    }

    fn write(&mut self, text: &str) {
        self.output += text;
        for character in text.chars() {
            self.put(character);
        }
    }

    fn put(&mut self, character: char) {
        if let Some(escape) = &mut self.escape {
            escape.push(character);
            if character.is_alphabetic() {
                let escape = self.escape.take().unwrap();
                self.obey(&escape);
            }
            return;
        }
        match character {
            '\u{1b}' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.next_row(),
            _ => {
                if self.column == self.columns {
                    self.column = 0;
                    self.next_row();
                }
                let row = &mut self.rows[self.row];
                row.resize(row.len().max(self.column + 1), ' ');
                row[self.column] = character;
                self.column += 1;
            }
        }
    }

    fn next_row(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }

    /// Obeys an escape sequence, given without its first character.
    fn obey(&mut self, sequence: &str) {
        match sequence.strip_prefix('[').unwrap() {
            "J" => {
                self.rows[self.row].truncate(self.column);
                self.rows.truncate(self.row + 1);
            }
            up if up.ends_with('A') => {
                let rows: usize = up.trim_end_matches('A').parse().unwrap();
                self.row -= rows;
            }
            color if color.ends_with('m') => {}
            other => panic!("an escape sequence that is not expected: {other}"),
        }
    }

    /// The rows that are not empty.
    pub(crate) fn lines(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
        rows.map(|row| row.trim_end().to_owned())
            .filter(|row| !row.is_empty())
            .collect()
    }
}

/// A program in a terminal.
pub(crate) struct Session {
    pub(crate) child: Child,
    master: File,
    screen: Screen,
}

impl Session {
    /// Starts a program whose stdin, stdout and stderr are a terminal of this width, which also controls it.
    pub(crate) fn start(command: &Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = std::ffi::OsStr::from_bytes(name.as_bytes());
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(terminal.as_fd(), size).unwrap();
        // `setsid` makes the terminal the one that controls the program, so that Ctrl-C reaches it.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program());
        session.args(command.get_args()).env_clear();
        session.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        session
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal);
        let child = session.spawn().unwrap();
        drop(session);
        Self {
            child,
            master: File::from(master),
            screen: Screen::new(columns.into()),
        }
    }

    /// Types keys.
    pub(crate) fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads what is there, or waits for it; nothing when the program has ended.
    pub(crate) fn read(&mut self) -> Option<&Screen> {
        let mut bytes = [0; 4096];
        let mut part = Vec::new();
        loop {
            // Linux reports an error where the last program has closed the terminal.
            let length = self
                .master
                .read(&mut bytes)
                .ok()
                .filter(|length| *length > 0)?;
            part.extend_from_slice(&bytes[..length]);
            // A character may be cut in two.
            if let Ok(text) = std::str::from_utf8(&part) {
                self.screen.write(text);
                return Some(&self.screen);
            }
        }
    }

    /// Reads until a screen is as wanted; false when the program has ended without one.
    pub(crate) fn read_until(&mut self, is_it: impl Fn(&Screen) -> bool) -> bool {
        while let Some(screen) = self.read() {
            if is_it(screen) {
                return true;
            }
        }
        false
    }

    /// Reads to the end.
    pub(crate) fn finish(mut self) -> (Screen, ExitStatus) {
        while self.read().is_some() {}
        let status = self.child.wait().unwrap();
        (self.screen, status)
    }
}
