//! The lines of a check, in the order in which an export meets what they are about.

use crate::error::{Exit, Explain};
use crate::jobs::error::ExportError;

/// Defines the lines with the names that scripts and people see: one row adds a line.
macro_rules! check_names {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $label:literal;)+) => {
        /// What a line is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CheckName {
            $($(#[doc = $doc])+ $name,)+
        }

        impl CheckName {
            /// All lines.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// The name for people.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

check_names! {
    /// The list of IDs, or the lists that the tasks are taken from.
    Tasks = "tasks", "tasks";
    /// The source and form of the API key.
    Key = "key", "key";
    /// The limit of open files.
    OpenFiles = "open_files", "open files";
    /// The base URL.
    Url = "url", "URL";
    /// The proxy in front of the API.
    Proxy = "proxy", "proxy";
    /// The CA certificates.
    Certificates = "certificates", "certificates";
    /// The output directory and the files in it.
    Output = "output", "output";
    /// The lock of the output directory.
    Lock = "lock", "lock";
    /// The saved responses, and whether they were requested with the same options.
    Saved = "saved_responses", "saved responses";
    /// The free space.
    Space = "space", "space";
    /// The address of the API, or of the proxy.
    Dns = "dns", "DNS";
    /// A connection to the API, with its certificate.
    Connection = "connection", "connection";
    /// This machine's clock against the server's.
    Clock = "clock", "clock";
    /// Whether the API accepts the key.
    KeyAccepted = "key_accepted", "key accepted";
    /// The first task, or the first page of each list.
    FirstTask = "first_task", "first task";
    /// The tasks of the published export that would disappear.
    Shrink = "shrink", "shrink";
}

/// What came of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// Nothing is wrong.
    Passed,
    /// A run would go on, but the user should know of something.
    Warned,
    /// A run would end with this exit code, which is not 0.
    Failed(Exit),
    /// It depends on a line that failed.
    Skipped,
}

/// One line of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLine {
    /// What it is about.
    pub name: CheckName,
    /// What came of it.
    pub state: CheckState,
    /// What was found, without secrets.
    pub detail: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl CheckLine {
    /// Nothing is wrong.
    pub fn passed(name: CheckName, detail: impl Into<String>) -> Self {
        Self::new(name, CheckState::Passed, detail.into(), None)
    }

    /// Something that a run would go on with.
    pub fn warned(name: CheckName, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, CheckState::Warned, detail.into(), Some(hint.into()))
    }

    /// The error that a run would end with.
    pub fn failed(name: CheckName, error: &dyn Explain) -> Self {
        let state = CheckState::Failed(error.exit());
        Self::new(name, state, error.to_string(), error.hint())
    }

    /// It depends on another line.
    pub fn skipped(name: CheckName, why: impl Into<String>) -> Self {
        Self::new(name, CheckState::Skipped, why.into(), None)
    }

    fn new(name: CheckName, state: CheckState, detail: String, hint: Option<String>) -> Self {
        Self {
            name,
            state,
            detail,
            hint,
        }
    }

    /// Whether a run would end here.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, CheckState::Failed(_))
    }

    /// The line about a task that fails, where that decides how a run ends.
    #[must_use]
    pub(crate) fn deciding(self, end: &Result<Exit, ExportError>) -> Self {
        match end {
            Ok(Exit::Success) => self,
            Ok(exit) => Self {
                state: CheckState::Failed(*exit),
                ..self
            },
            // It names the task.
            Err(error @ ExportError::Fetch(_)) => Self::failed(self.name, error),
            Err(error) => Self {
                detail: format!("{}; {error}", self.detail),
                ..Self::failed(self.name, error)
            },
        }
    }

    /// The same line where a run would not meet its failure, for this reason.
    #[must_use]
    pub(crate) fn without_failure(self, why: &str) -> Self {
        if !self.is_failed() {
            return self;
        }
        Self {
            state: CheckState::Warned,
            detail: format!("{}; {why}", self.detail),
            ..self
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// All lines, in the order of [`CheckName`].
    pub lines: Vec<CheckLine>,
    /// Requests that were sent.
    pub requests: u64,
}

impl CheckReport {
    /// The first line that failed.
    pub fn first_failure(&self) -> Option<&CheckLine> {
        self.lines.iter().find(|line| line.is_failed())
    }

    /// The exit code of the first line that failed, which is the one that a run would end with.
    pub fn exit(&self) -> Exit {
        match self.first_failure().map(|line| line.state) {
            Some(CheckState::Failed(exit)) => exit,
            _ => Exit::Success,
        }
    }
}
