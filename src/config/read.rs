//! Reading one table of a parsed file: every key is asked for by name, what nobody knows is a
//! complaint, and what is wrong is told with its place while reading goes on.
//!
//! A value that is wrong leaves a complaint behind and reads as its default: whoever collects
//! complaints refuses the whole configuration in the end.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::config::complaint::Complaint;
use crate::config::complaint::Complaints;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::source::Source;
use crate::config::suggest;
use crate::config::value::Value;
use crate::config::variables::Environment;

/// One file while it is read.
pub struct Document<'a> {
    /// Its text.
    pub source: Arc<Source>,
    /// What relative paths in it are relative to.
    pub directory: PathBuf,
    /// What `${NAME}` stands for.
    pub environment: Environment<'a>,
    /// What was found so far.
    pub complaints: RefCell<Complaints>,
}

impl Document<'_> {
    /// A place in this file.
    pub fn place(&self, span: Range<usize>) -> Place {
        Place::new(&self.source, span)
    }

    /// Takes a complaint down.
    pub fn complain(&self, complaint: Complaint) {
        self.complaints.borrow_mut().push(complaint);
    }
}

/// A table with known keys.
pub struct Table<'a> {
    document: &'a Document<'a>,
    /// How messages call it: `[pool.shop]`, `` `tls` of [pool.shop] ``.
    title: String,
    place: Place,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Opens a value that must be a table with no other keys than these. The word is the table's kind
    /// (`pool`), for suggestions; the place is what a missing key is reported at.
    pub fn open(value: &Value<'a>, title: String, word: &str, keys: &[&[Key]]) -> Option<Self> {
        let Some(entries) = value.entries() else {
            value.wrong_type("a table");
            return None;
        };
        let document = value.document();
        let table = Self { document, title, place: value.place(), entries };
        table.refuse_unknown_keys(word, keys);
        Some(table)
    }

    /// What a missing key is reported at from now on: the name in the header says more than all of it.
    #[must_use]
    pub fn placed(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// The file that the table is in.
    pub fn document(&self) -> &'a Document<'a> {
        self.document
    }

    /// Where the table begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key, if it is there.
    pub fn value(&self, key: &'static str) -> Option<Value<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Value::new(self.document, key, value).with_key(name.span()))
    }

    /// Reads a key that may be left out.
    pub fn field<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Field<T> {
        let Some(value) = self.value(key) else { return Field::Absent };
        match read(&value) {
            Some(read) => Field::Good(Located { value: read, place: value.place() }),
            None => Field::Bad(value.place()),
        }
    }

    /// Reads a key that has a default.
    pub fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> T {
        self.field(key, read).or(default)
    }

    /// Reads a key that must be there.
    pub fn needed<T>(&self, key: &Key, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Field<T> {
        let field = self.field(key.name, read);
        if matches!(field, Field::Absent) {
            let message = format!("`{}` is missing from {}", key.name, self.title);
            let help = format!("add it, such as `{} = {}`", key.name, key.sample.text());
            self.document.complain(Complaint::error(self.place.clone(), message).help(help));
        }
        field
    }

    fn refuse_unknown_keys(&self, word: &str, keys: &[&[Key]]) {
        for (name, value) in self.entries {
            let known = || keys.iter().copied().flatten().map(|key| key.name);
            let key: &str = name.get_ref();
            if known().any(|known| known == key) {
                continue;
            }
            let place = self.document.place(name.span());
            if names_a_secret(key) {
                self.document.place(value.span()).hide();
            }
            let known: Vec<&str> = known().collect();
            let complaint =
                Complaint::error(place, format!("unknown key `{key}` in {}", self.title));
            let help = suggest::for_key(key, word, &known);
            self.document.complain(complaint.label("not a key of this table").maybe_help(help));
        }
    }
}

/// What became of a key.
#[derive(Clone, Debug)]
pub enum Field<T> {
    /// It is not there.
    Absent,
    /// It is there and wrong; the complaint has been made.
    Bad(Place),
    /// It is there and well formed.
    Good(Located<T>),
}

impl<T> Field<T> {
    /// The value, or what holds without one.
    pub fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    /// The value, if there is a good one, to keep.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Bad(_) => None,
            Self::Good(located) => Some(located.value),
        }
    }

    /// The value, if there is one; None where it is wrong.
    pub fn unless_bad(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Bad(_) => None,
            Self::Good(located) => Some(Some(located.value)),
        }
    }

    /// The value, if there is a good one.
    pub fn good(&self) -> Option<&Located<T>> {
        match self {
            Self::Absent | Self::Bad(_) => None,
            Self::Good(located) => Some(located),
        }
    }

    /// Whether the key is not there at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Where the value stands, good or bad.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Absent => None,
            Self::Bad(place) => Some(place),
            Self::Good(located) => Some(&located.place),
        }
    }
}

/// Whoever writes a secret where none belongs should not find it in a log as well.
pub fn names_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "pin", "token", "credential"].iter().any(|word| key.contains(word))
}

/// What a TOML value is, in words.
pub fn kind_of(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One value read by itself.
#[cfg(test)]
pub mod testing {
    use super::*;

    fn read<T>(
        written: &str,
        read: impl FnOnce(&Value<'_>) -> Option<T>,
    ) -> (Option<T>, Complaints) {
        let source = Arc::new(Source::new("test.toml", format!("key = {written}")));
        let text = Arc::clone(&source);
        let root = DeTable::parse(text.text()).expect("TOML");
        let (directory, complaints) = (PathBuf::from("etc"), RefCell::default());
        let document = Document { source, directory, environment: &|_| None, complaints };
        let value = root.get_ref().get("key").expect("the key");
        let found = read(&Value::new(&document, "key", value));
        (found, document.complaints.into_inner())
    }

    /// What a good value is read as.
    pub fn reads<T>(written: &str, reader: impl FnOnce(&Value<'_>) -> Option<T>) -> T {
        let (found, complaints) = read(written, reader);
        assert!(complaints.errors() == 0, "{written}: {complaints}");
        found.expect("what is not read is complained about")
    }

    /// What is said about a value that is wrong.
    pub fn refuses<T>(written: &str, reader: impl FnOnce(&Value<'_>) -> Option<T>) -> String {
        let (_, complaints) = read(written, reader);
        assert!(complaints.errors() > 0, "{written} should be refused");
        complaints.to_string()
    }
}
