//! A store in this process with the calls of S3 that an export uses: conditional writes, copies, lists, parts. It can
//! misbehave, and it records its requests.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct StoreRequest {
    pub(crate) method: String,
    /// The name of the object below the bucket.
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl StoreRequest {
    /// Whether it changes an object.
    pub(crate) fn is_change(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }
}

/// What the store does with a request.
#[derive(Debug, Clone)]
pub(crate) enum StoreAction {
    /// Executes it.
    Execute,
    /// Does not execute it, and responds with this status, code and message.
    Fail(u16, &'static str, &'static str),
    /// Executes it without its conditions.
    Ignore,
    /// Executes it, and closes the connection without a response.
    Lose,
    /// Does not execute it, and never responds.
    #[cfg(feature = "delta")]
    Hang,
}

type Rule = dyn Fn(&StoreRequest) -> StoreAction + Send + Sync;

#[derive(Default)]
struct Stored {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    uploads: BTreeMap<u64, BTreeMap<u32, Vec<u8>>>,
    /// Counts versions and uploads.
    next: u64,
    requests: Vec<StoreRequest>,
}

/// The store. Its threads end with the process.
pub(crate) struct FakeS3 {
    endpoint: String,
    stored: Arc<Mutex<Stored>>,
}

impl FakeS3 {
    pub(crate) fn start(
        rule: impl Fn(&StoreRequest) -> StoreAction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stored = Arc::new(Mutex::new(Stored::default()));
        let (own, rule): (_, Arc<Rule>) = (Arc::clone(&stored), Arc::new(rule));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (stored, rule) = (Arc::clone(&own), Arc::clone(&rule));
                std::thread::spawn(move || serve(&stream, &stored, &*rule));
            }
        });
        Self { endpoint, stored }
    }

    /// The variables with which programs use the store.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 6] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "very-secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap()
    }

    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.lock()
            .objects
            .get(name)
            .map(|(bytes, _)| bytes.clone())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.lock().put(name, bytes.to_vec());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().objects.remove(name);
    }

    /// The requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<StoreRequest> {
        std::mem::take(&mut self.lock().requests)
    }
}

impl Stored {
    fn put(&mut self, name: &str, bytes: Vec<u8>) -> u64 {
        self.next += 1;
        let version = self.next;
        self.objects.insert(name.to_owned(), (bytes, version));
        version
    }
}

/// Serves the requests of a connection.
fn serve(stream: &TcpStream, stored: &Mutex<Stored>, rule: &Rule) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        stored.lock().unwrap().requests.push(request.clone());
        // A rule may wait for a process to end, so nothing is locked meanwhile.
        let action = rule(&request);
        let (status, headers, body) = match action {
            #[cfg(feature = "delta")]
            StoreAction::Hang => loop {
                // The client gives up, or the test ends.
                std::thread::park();
            },
            StoreAction::Fail(status, code, message) => {
                (status, String::new(), error(code, message))
            }
            StoreAction::Execute | StoreAction::Lose => {
                execute(&mut stored.lock().unwrap(), &request, true)
            }
            StoreAction::Ignore => execute(&mut stored.lock().unwrap(), &request, false),
        };
        if matches!(action, StoreAction::Lose) {
            return;
        }
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" {
            &[]
        } else {
            &body[..]
        };
        if writer.write_all(&[head.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<StoreRequest> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.trim_start_matches('/');
    let name = path.split_once('/').map_or("", |(_, name)| name).to_owned();
    Some(StoreRequest {
        method,
        name,
        query: query.to_owned(),
        headers,
        body,
    })
}

type Response = (u16, String, Vec<u8>);

fn error(code: &str, message: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>")
        .into_bytes()
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|part| part.split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

fn execute(stored: &mut Stored, request: &StoreRequest, has_conditions: bool) -> Response {
    let StoreRequest {
        method,
        name,
        query,
        headers,
        body,
    } = request;
    let plain = |status| (status, String::new(), Vec::new());
    let tagged = |version: u64| (200, format!("etag: \"{version}\"\r\n"), Vec::new());
    let missing = || (404, String::new(), error("NoSuchKey", "no such key"));
    match method.as_str() {
        "GET" | "HEAD" if query.contains("list-type") => (200, String::new(), list(stored, query)),
        "GET" | "HEAD" => match stored.objects.get(name) {
            None => missing(),
            Some((bytes, version)) => {
                let headers = format!(
                    "etag: \"{version}\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                );
                (200, headers, bytes.clone())
            }
        },
        "PUT" if query.contains("uploadId") => {
            let upload = parameter(query, "uploadId").unwrap().parse().unwrap();
            let part = parameter(query, "partNumber").unwrap().parse().unwrap();
            let parts = stored.uploads.get_mut(&upload).unwrap();
            parts.insert(part, body.clone());
            tagged(u64::from(part))
        }
        "PUT" if headers.contains_key("x-amz-copy-source") => {
            let source = headers["x-amz-copy-source"].trim_start_matches('/');
            let source = source.split_once('/').unwrap().1;
            let Some((bytes, _)) = stored.objects.get(source).cloned() else {
                return missing();
            };
            stored.put(name, bytes);
            let body = "<CopyObjectResult><ETag>\"1\"</ETag></CopyObjectResult>";
            (200, String::new(), body.into())
        }
        "PUT" => {
            let version = stored.objects.get(name).map(|(_, version)| *version);
            let is_absent = headers
                .get("if-none-match")
                .is_none_or(|_| version.is_none());
            let is_same = headers.get("if-match").is_none_or(|expected| {
                version.is_some_and(|version| *expected == format!("\"{version}\""))
            });
            if has_conditions && !(is_absent && is_same) {
                return (412, String::new(), error("PreconditionFailed", "condition"));
            }
            tagged(stored.put(name, body.clone()))
        }
        "POST" if query.contains("uploadId") => {
            let upload: u64 = parameter(query, "uploadId").unwrap().parse().unwrap();
            let parts = stored.uploads.remove(&upload).unwrap();
            let bytes = parts.into_values().flatten().collect();
            stored.put(name, bytes);
            let body =
                "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>";
            (200, String::new(), body.into())
        }
        "POST" => {
            stored.next += 1;
            let upload = stored.next;
            stored.uploads.insert(upload, BTreeMap::new());
            let body = format!(
                "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            );
            (200, String::new(), body.into())
        }
        "DELETE" => {
            stored.objects.remove(name);
            plain(204)
        }
        _ => plain(400),
    }
}

fn list(stored: &Stored, query: &str) -> Vec<u8> {
    let prefix = parameter(query, "prefix").unwrap_or("").replace("%2F", "/");
    let after = parameter(query, "start-after")
        .unwrap_or("")
        .replace("%2F", "/");
    let is_flat = query.contains("delimiter");
    let objects = stored.objects.iter().filter(|(name, _)| {
        **name > after
            && name
                .strip_prefix(&prefix)
                .is_some_and(|rest| !is_flat || !rest.contains('/'))
    });
    let entries = objects.map(|(name, (bytes, version))| {
        format!(
            "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"{version}\"</ETag><Size>{}</Size></Contents>",
            bytes.len()
        )
    });
    let entries: String = entries.collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>").into()
}

/// Time that a test waits for what must happen at once.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);
