//! CA certificates: those of `--ca-file`, and those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead of the
//! system's. They are read up to a limit, and before signals are caught, so that a signal ends the wait for a pipe.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::api::error::FetchError;

/// The maximum size in bytes of a certificate file, or of all files of a directory together. The bundle of a whole
/// system has about 200 kB.
const MAX_CA_BYTES: u64 = 16 << 20;

/// Whether the system keeps its certificates in files, so that the variables are read.
const IS_FILES: bool = cfg!(all(
    unix,
    not(target_vendor = "apple"),
    not(target_os = "android")
));

/// Certificates in PEM, and the file that they come from.
#[derive(Debug, Clone)]
pub struct CaFile {
    pub(crate) path: PathBuf,
    pub(crate) pem: Vec<u8>,
}

impl CaFile {
    /// Reads a file. It may be a pipe.
    pub fn read(path: &Path) -> Result<Self, FetchError> {
        let path = path.to_owned();
        match read_up_to(&path, MAX_CA_BYTES) {
            Ok(pem) => Ok(Self { path, pem }),
            Err(error) => Err(FetchError::CaFile {
                path,
                cause: error.to_string(),
            }),
        }
    }
}

/// The CA certificates that are trusted in addition to those of `--ca-file`.
#[derive(Debug, Clone, Default)]
pub enum Authorities {
    /// The system's certificates.
    #[default]
    System,
    /// The certificates that the variables name, in DER. Files that cannot be read or are not certificates are left
    /// out.
    Named(Vec<Vec<u8>>),
    /// A variable names a file that is too large, or a directory that is.
    TooLarge {
        /// The variable.
        variable: &'static str,
        /// The file or directory.
        path: PathBuf,
    },
}

/// The variables that name certificates: a file, and directories.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

impl Authorities {
    /// The variables that are set.
    pub(crate) fn variables() -> Vec<&'static str> {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        VARIABLES.into_iter().filter(is_set).collect()
    }

    /// Reads what the variables name.
    pub fn read() -> Self {
        let [file, directories] = VARIABLES.map(std::env::var_os);
        let file = file.map(PathBuf::from).filter(|_| IS_FILES);
        let directories = directories.filter(|_| IS_FILES).unwrap_or_default();
        let directories: Vec<PathBuf> = std::env::split_paths(&directories)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        if file.is_none() && directories.is_empty() {
            return Self::System;
        }
        let mut found = Vec::new();
        let too_large = |variable, path| Self::TooLarge { variable, path };
        if let Some(path) = file
            && is_too_large(take_file(&path, MAX_CA_BYTES, &mut found))
        {
            return too_large("SSL_CERT_FILE", path);
        }
        for path in directories {
            if is_too_large(take_directory(&path, &mut found)) {
                return too_large("SSL_CERT_DIR", path);
            }
        }
        // Directories often have a certificate under several names.
        found.sort_unstable();
        found.dedup();
        Self::Named(found)
    }

    /// The certificates that the variables name, if any variable is set.
    pub(crate) fn named(&self) -> Result<Option<&[Vec<u8>]>, FetchError> {
        match self {
            Self::System => Ok(None),
            Self::Named(certificates) => Ok(Some(certificates)),
            Self::TooLarge { variable, path } => Err(FetchError::CaFile {
                path: path.clone(),
                cause: format!("{variable} names more than {} MiB", MAX_CA_BYTES >> 20),
            }),
        }
    }
}

fn is_too_large(taken: io::Result<u64>) -> bool {
    taken.is_err_and(|error| error.kind() == io::ErrorKind::FileTooLarge)
}

/// Reads the certificates of all files of a directory. Several links to one file add its certificate only once.
fn take_directory(directory: &Path, found: &mut Vec<Vec<u8>>) -> io::Result<u64> {
    let mut left = MAX_CA_BYTES;
    for entry in directory.read_dir()? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        match take_file(&path, left, found) {
            Ok(bytes) => left -= bytes,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(error),
            // Another file may have the certificate that is needed.
            Err(_) => {}
        }
    }
    Ok(MAX_CA_BYTES - left)
}

/// Reads the certificates of a file, and returns the file's size in bytes.
fn take_file(path: &Path, limit: u64, found: &mut Vec<Vec<u8>>) -> io::Result<u64> {
    let pem = read_up_to(path, limit)?;
    // The bundles of systems contain some certificates that the TLS library cannot use.
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    let usable =
        certificates.filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    found.extend(usable.map(|certificate| certificate.to_vec()));
    Ok(pem.len() as u64)
}

/// Reads a file of at most this many bytes.
fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Not by the size of the file: a pipe has none, and `/dev/zero` is endless.
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
