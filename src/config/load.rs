//! From a path to a [`Config`], or to everything that is wrong with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use toml::de::DeTable;

use crate::config::Config;
use crate::config::addresses;
use crate::config::build;
use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::family;
use crate::config::files;
use crate::config::files::Included;
use crate::config::mode;
use crate::config::raw::Raw;
use crate::config::read::Document;
use crate::config::references;
use crate::config::source::Place;
use crate::config::source::Source;
use crate::config::syntax;
use crate::config::token_keys;
use crate::config::value::Value;
use crate::config::variables::Environment;

/// A configuration that can be used, and what is probably not meant in it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was meant.
    pub config: Config,
    /// Warnings alone.
    pub warnings: Complaints,
}

impl Config {
    /// Reads a file and all that it includes, with the environment of the process.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, warnings included, in the order of the files and their lines.
    pub fn load(path: &Path) -> Result<Loaded, Complaints> {
        let source = files::read(path, None)?;
        load(&source, &|name| std::env::var(name).ok())
    }

    /// Reads a text as if it stood in a file of this name, without an environment. Certificates and
    /// keys are named in a configuration but not read, so that they need not exist; files named by
    /// `include` are read.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Loaded, Complaints> {
        Self::parse_with(name, text, &|_| None)
    }

    /// As [`Config::parse`], with an environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse_with(
        name: &str,
        text: &str,
        environment: Environment<'_>,
    ) -> Result<Loaded, Complaints> {
        load(&Arc::new(Source::new(name, text)), environment)
    }
}

fn load(main: &Arc<Source>, environment: Environment<'_>) -> Result<Loaded, Complaints> {
    let mut loading = Loading {
        environment,
        raw: Raw::default(),
        sources: Vec::new(),
        included: Included::default(),
        complaints: Complaints::default(),
        is_whole: true,
    };
    let directory = loading.add(main);
    loading.add_included();
    loading.finish(&directory)
}

struct Loading<'e> {
    environment: Environment<'e>,
    raw: Raw,
    sources: Vec<Arc<Source>>,
    included: Included,
    complaints: Complaints,
    /// Whether every file could be read: if not, a name that is missing may be in one that could not.
    is_whole: bool,
}

impl Loading<'_> {
    /// Adds a file, and returns the directory that it is in.
    fn add(&mut self, source: &Arc<Source>) -> PathBuf {
        let file = self.sources.len();
        let directory = source.path().parent().unwrap_or(Path::new("")).to_owned();
        self.sources.push(Arc::clone(source));
        let root = match DeTable::parse(source.text()) {
            Ok(root) => root,
            Err(error) => {
                self.is_whole = false;
                self.complaints.push(syntax::complaint(source, &error));
                return directory;
            }
        };
        let document = Document {
            source: Arc::clone(source),
            directory,
            environment: self.environment,
            complaints: RefCell::default(),
        };
        if let Some((key, value)) = root.get_ref().get_key_value("include") {
            if file == 0 {
                let value = Value::new(&document, "include", value);
                self.is_whole &= value.list(|entry| self.included.add(entry)).is_some();
            } else {
                let message = "`include` may stand in the main file only";
                let complaint = Complaint::error(document.place(key.span()), message);
                document
                    .complain(complaint.help("name the file in the `include` of the main file"));
            }
        }
        self.raw.add(&document, root.into_inner(), file);
        self.complaints.extend(document.complaints.into_inner());
        document.directory
    }

    /// A file that is named twice, by itself and through its directory, is read once.
    fn add_included(&mut self) {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let files = std::mem::take(&mut self.included.files);
        let mut seen = HashMap::with_capacity(files.len());
        if !files.is_empty() {
            seen.insert(real(self.sources[0].path()), true);
        }
        for (path, place) in files {
            match seen.insert(real(&path), false) {
                None => match files::read(&path, Some(&place)) {
                    Ok(source) => {
                        self.add(&source);
                    }
                    Err(complaints) => {
                        self.is_whole = false;
                        self.complaints.extend(complaints);
                    }
                },
                Some(true) => {
                    let complaint = Complaint::error(place, "the main file includes itself");
                    self.complaints
                        .push(complaint.help("keep included files in a directory of their own"));
                }
                Some(false) => {}
            }
        }
    }

    fn finish(mut self, directory: &Path) -> Result<Loaded, Complaints> {
        if self.is_whole {
            if self.raw.virtual_services.is_empty() && self.complaints.errors() == 0 {
                self.complaints.push(nothing_to_serve(&self.sources[0]));
            }
            family::check(&self.raw, &mut self.complaints);
            addresses::check(&self.raw, &mut self.complaints);
            token_keys::check(&self.raw, &mut self.complaints);
            references::check(&self.raw, &mut self.complaints);
            mode::check(&self.raw, &mut self.complaints);
        }
        let order: HashMap<_, _> = self
            .sources
            .iter()
            .enumerate()
            .map(|(index, source)| (Arc::as_ptr(source), index))
            .collect();
        let sources = &order;
        self.complaints
            .sort(|place| sources.get(&Arc::as_ptr(place.source())).copied().unwrap_or(usize::MAX));
        if self.complaints.errors() > 0 {
            return Err(self.complaints);
        }
        let files = self.sources.iter().map(|source| source.path().to_owned()).collect();
        let config = build::config(self.raw, files, self.included.directories, directory);
        Ok(Loaded { config, warnings: self.complaints })
    }
}

fn nothing_to_serve(main: &Arc<Source>) -> Complaint {
    Complaint::error(
        Place::whole(main),
        "there is no virtual service, so there is nothing to serve",
    )
    .help(format!("the least that serves:\n{MINIMAL}"))
}

const MINIMAL: &str = "[virtual_service.edge]
listen = [\"0.0.0.0:8443\"]
certificates = [\"site\"]
pool = \"site\"
[certificate.site]
chain = \"certs/site.pem\"
key = { file = \"certs/site.key\" }
[pool.site]
endpoints = [\"127.0.0.1:8080\"]";
