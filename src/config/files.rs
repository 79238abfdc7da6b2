//! Which files make up a configuration, and their bytes: the only place here that touches a disk.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::source::Place;
use crate::config::source::Source;
use crate::config::value::Value;

/// Reads a file. The place of a complaint about the file as a whole is `named_at`, where an `include`
/// names it, or else the file itself.
///
/// # Errors
///
/// One complaint: the file cannot be read, or is not text.
pub fn read(path: &Path, named_at: Option<&Place>) -> Result<Arc<Source>, Complaints> {
    let shown = path.display();
    let refuse = |message: String, help: &str| {
        let whole = || Place::whole(&Arc::new(Source::new(path, "")));
        let place = named_at.cloned().unwrap_or_else(whole);
        Err(Complaints::from(Complaint::error(place, message).help(help)))
    };
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            let help = "name a file in it; `include = [\"DIRECTORY\"]` in that file reads the rest";
            return refuse(format!("`{shown}` is a directory, not a file"), help);
        }
        Err(error) => {
            let help = remedy(&error, named_at.is_some());
            return refuse(format!("cannot read `{shown}`: {}", words(&error)), help);
        }
    };
    if bytes.len() as u64 > MAX_FILE {
        return refuse(format!("`{shown}` is larger than 64 MiB"), "name a TOML file");
    }
    if bytes.contains(&0) {
        return refuse(format!("`{shown}` is not a text file"), "name a TOML file");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(Source::new(path, text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let replaced = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
            let place = Place::new(&Arc::new(Source::new(path, text)), replaced);
            let complaint = Complaint::error(place, "the file is not UTF-8 text")
                .label("not UTF-8")
                .help("save it as UTF-8; `iconv -f latin1 -t utf8` converts old files");
            Err(complaint.into())
        }
    }
}

fn remedy(error: &io::Error, is_included: bool) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if is_included => {
            "check the path; a relative one starts from the directory of this file"
        }
        io::ErrorKind::NotFound => {
            "check the path; a relative one starts from where the command runs"
        }
        io::ErrorKind::PermissionDenied => {
            "let the user of the proxy read it, and enter every directory above it"
        }
        _ => "check the file system",
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What an `include` leads to.
#[derive(Debug, Default)]
pub struct Included {
    /// Files, in the order in which they are read, each with the place that names it.
    pub files: Vec<(PathBuf, Place)>,
    /// Directories whose content decides: a new file there is a change.
    pub directories: Vec<PathBuf>,
}

impl Included {
    /// Reads one entry of `include`: a file, a directory, or a pattern in the last part of a path.
    pub fn add(&mut self, value: &Value<'_>) -> Option<()> {
        let path = value.path()?;
        let pattern =
            path.file_name().and_then(|name| name.to_str()).filter(|name| name.contains('*'));
        let (directory, pattern) = match (pattern, path.parent()) {
            (Some(pattern), Some(parent)) => (parent.to_owned(), pattern.to_owned()),
            _ if path.is_dir() => (path, ALL_TOML.to_owned()),
            _ if path.to_string_lossy().contains('*') => {
                let help = "write a directory, or `DIRECTORY/*.toml`".to_owned();
                value.complain("`*` may stand in the last part of the path only", "", Some(help));
                return None;
            }
            _ => {
                self.files.push((path, value.place()));
                return Some(());
            }
        };
        match list(&directory, &pattern) {
            Ok(files) => {
                self.files.extend(files.into_iter().map(|file| (file, value.place())));
                self.directories.push(directory);
                Some(())
            }
            Err(error) => {
                let message = format!("cannot list `{}`: {}", directory.display(), words(&error));
                let help = "check the path; a relative one starts from the directory of this file";
                value.complain(message, "", Some(help.to_owned()));
                None
            }
        }
    }
}

/// The files of a directory whose names fit a pattern with one `*`, sorted. Names with a leading dot
/// are left out: editors keep their copies there, and so does Kubernetes.
fn list(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let mut names = Vec::new();
    for entry in fs::read_dir(here)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let fits =
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
        if fits && !name.starts_with('.') && here.join(&name).is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// The commonest errors in words that do not depend on the platform.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".to_owned(),
        _ => error.to_string(),
    }
}

const ALL_TOML: &str = "*.toml";

/// A hundred thousand services fit; `/dev/zero` does not.
const MAX_FILE: u64 = 64 << 20;
