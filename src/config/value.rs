//! One value of a parsed file, read as what it should be. Each method leaves a complaint where it
//! returns None.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeInteger;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::config::complaint::Complaint;
use crate::config::read::Document;
use crate::config::read::kind_of;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::suggest;
use crate::config::units::DurationText;
use crate::config::units::SizeText;
use crate::config::units::parse_duration;
use crate::config::units::parse_size;
use crate::config::units::size_help;
use crate::config::variables::VariableError;
use crate::config::variables::expand;

/// A value and the key that it belongs to.
#[derive(Clone)]
pub struct Value<'a> {
    document: &'a Document<'a>,
    key: &'static str,
    key_span: Range<usize>,
    is_entry: bool,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    /// The value of a key.
    pub fn new(
        document: &'a Document<'a>,
        key: &'static str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        Self { document, key, key_span: value.span(), is_entry: false, value }
    }

    /// Where the key stands.
    #[must_use]
    pub fn with_key(mut self, span: Range<usize>) -> Self {
        self.key_span = span;
        self
    }

    /// A value in this table whose key the operator chose, such as a header.
    #[must_use]
    pub fn entry(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { is_entry: true, value, ..self.clone() }
    }

    /// The key that it belongs to: for a named table, the kind of table.
    pub fn word_of_table(&self) -> &'static str {
        self.key
    }

    /// Where a key of this table has its value; the table itself where it has none.
    pub fn entry_place(&self, key: &str) -> Place {
        let entry = self.entries().and_then(|entries| entries.get(key));
        entry.map_or_else(|| self.key_place(), |entry| self.document.place(entry.span()))
    }

    /// The file.
    pub fn document(&self) -> &'a Document<'a> {
        self.document
    }

    /// Where the value stands.
    pub fn place(&self) -> Place {
        self.document.place(self.value.span())
    }

    /// Where the key stands.
    pub fn key_place(&self) -> Place {
        self.document.place(self.key_span.clone())
    }

    /// The value together with its place.
    pub fn located<T>(&self, value: T) -> Located<T> {
        Located { value, place: self.place() }
    }

    /// Complains about this value.
    pub fn complain(&self, message: impl Into<String>, label: &str, help: Option<String>) {
        let complaint = Complaint::error(self.place(), message).label(label).maybe_help(help);
        self.document.complain(complaint);
    }

    /// Complains that the value is of another kind.
    pub fn wrong_type(&self, wanted: &str) {
        self.wrong_type_help(wanted, None);
    }

    /// Complains that the value is of another kind, and says what to write.
    pub fn wrong_type_help(&self, wanted: &str, help: Option<String>) {
        let found = kind_of(self.value);
        let name = self.name();
        self.complain(format!("{name} must be {wanted}, not {found}"), "", help);
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        if self.is_entry {
            format!("an entry of `{}`", self.key)
        } else {
            format!("`{}`", self.key)
        }
    }

    /// The entries of a table.
    pub fn entries(&self) -> Option<&'a DeTable<'a>> {
        self.value.get_ref().as_table()
    }

    /// Whether it is a string, whatever it says.
    pub fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// Whether it is a whole number, whatever it says.
    pub fn is_integer(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(_))
    }

    /// Whether it is true or false.
    pub fn is_flag(&self) -> bool {
        self.value.get_ref().is_bool()
    }

    /// A string, with `${NAME}` replaced.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let Some(text) = self.value.get_ref().as_str() else {
            let number = matches!(self.value.get_ref(), DeValue::Integer(_) | DeValue::Float(_));
            let written = self.document.source.text().get(self.value.span()).unwrap_or_default();
            let help = number.then(|| format!("write it in quotes: \"{written}\""));
            self.wrong_type_help("a string", help);
            return None;
        };
        match expand(text, self.document.environment) {
            Ok(expanded) => Some(expanded),
            Err(error) => {
                self.refuse_variable(&error);
                None
            }
        }
    }

    fn refuse_variable(&self, error: &VariableError) {
        let span = self.value.span();
        let mut place = self.place();
        let mut help = "write `$${` for a dollar sign and a brace that stay".to_owned();
        if let VariableError::Undefined(name) = error {
            let written = format!("${{{name}}}");
            let text = self.document.source.text().get(span.clone()).unwrap_or_default();
            if let Some(at) = text.find(&written) {
                place = self.document.place(span.start + at..span.start + at + written.len());
            }
            help = format!(
                "set {name} in the environment of the service (systemd: `Environment=`), or write \
                 `$${{{name}}}` if no variable is meant"
            );
        }
        self.document.complain(Complaint::error(place, error.to_string()).help(help));
    }

    /// A string that is not empty.
    pub fn word(&self) -> Option<Cow<'a, str>> {
        let text = self.text()?;
        if text.is_empty() {
            self.complain(format!("{} is empty", self.name()), "", None);
            return None;
        }
        Some(text)
    }

    /// A string that is one of the types of `names`. The help is asked only when it is not.
    pub fn parse<T>(&self, what: &str, help: impl FnOnce(&str) -> Option<String>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text()?;
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.complain(format!("`{text}` is not {what}: {error}"), "", help(&text));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type_help(
                "true or false",
                Some("write `true` or `false`, without quotes".to_owned()),
            );
        }
        flag
    }

    /// A whole number in a range.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = self.value.get_ref() else {
            let help = self.is_text().then(|| "write it without quotes".to_owned());
            self.wrong_type_help(&wanted, help);
            return None;
        };
        match unsigned(integer).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                self.complain(format!("{} must be {wanted}", self.name()), "out of range", None);
                None
            }
        }
    }

    /// A number in a range; whole numbers are welcome.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => {
                self.wrong_type("a number");
                return None;
            }
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let wanted = format!("a number from {} to {}", range.start(), range.end());
            self.complain(format!("{} must be {wanted}", self.name()), "out of range", None);
        }
        number
    }

    /// A duration such as `"10s"`, in a range.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let wanted = "a duration such as \"500ms\", \"10s\", \"5m\" or \"12h\"";
        if let DeValue::Integer(number) = self.value.get_ref() {
            self.wrong_type_help(wanted, Some(format!("name the unit: \"{}s\"", number.as_str())));
            return None;
        }
        let text = self.text()?;
        let Some(duration) = parse_duration(&text) else {
            let is_number = text.parse::<u64>().is_ok();
            let help = is_number.then(|| format!("name the unit: \"{text}s\""));
            self.complain(format!("{} must be {wanted}", self.name()), "", help);
            return None;
        };
        if !range.contains(&duration) {
            let (least, most) = (DurationText(*range.start()), DurationText(*range.end()));
            let message = format!("{} must be from {least} to {most}", self.name());
            self.complain(message, "out of range", None);
            return None;
        }
        Some(duration)
    }

    /// A size: a number of bytes, or such as `"32KiB"`, in a range.
    pub fn size(&self, range: RangeInclusive<u64>) -> Option<usize> {
        let size = match self.value.get_ref() {
            DeValue::Integer(integer) => unsigned(integer),
            DeValue::String(_) => parse_size(&self.text()?).map(|size| size as u64),
            _ => None,
        };
        let Some(size) = size else {
            let message =
                format!("{} must be a size such as 32768, \"32KiB\" or \"1MiB\"", self.name());
            let help = self.value.get_ref().as_str().and_then(size_help);
            self.complain(message, "", help);
            return None;
        };
        if !range.contains(&size) {
            let (least, most) = (SizeText(*range.start()), SizeText(*range.end()));
            let message = format!("{} must be from {least} to {most}", self.name());
            self.complain(message, "out of range", None);
            return None;
        }
        usize::try_from(size).ok()
    }

    /// A path, joined to the directory of the file.
    pub fn path(&self) -> Option<PathBuf> {
        let text = self.word()?;
        if text.starts_with("~/") || text == "~" {
            let help = "write the whole path, or `${HOME}/...`";
            self.complain("`~` is not expanded in paths", "", Some(help.to_owned()));
            return None;
        }
        if text.contains('\0') {
            self.complain("a path cannot hold a null character", "", None);
            return None;
        }
        Some(self.document.directory.join(&*text))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let listed = suggest::listed(&words);
        if !self.is_text() {
            self.wrong_type_help("a string", Some(format!("the values are {listed}")));
            return None;
        }
        let text = self.text()?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let nearest = suggest::nearest(&text, words.iter().copied());
        let help = match nearest {
            Some(nearest) => format!("did you mean \"{nearest}\"? The values are {listed}"),
            None => format!("the values are {listed}"),
        };
        self.complain(format!("`{text}` is not a value of {}", self.name()), "", Some(help));
        None
    }

    /// A list whose entries are all read, so that each of them can complain.
    pub fn list<T>(&self, mut read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            let written = self.document.source.text().get(self.value.span()).unwrap_or_default();
            let short = self.is_text() && written.len() < 80 && !written.contains('\n');
            let help = short.then(|| format!("write it in brackets: [{written}]"));
            self.wrong_type_help("a list", help);
            return None;
        };
        let mut entries = Vec::with_capacity(array.len());
        let mut good = true;
        for value in array.iter() {
            match read(&self.entry(value)) {
                Some(entry) => entries.push(entry),
                None => good = false,
            }
        }
        good.then_some(entries)
    }

    /// A list whose entries keep their places.
    pub fn located_list<T>(
        &self,
        mut read: impl FnMut(&Self) -> Option<T>,
    ) -> Option<Vec<Located<T>>> {
        self.list(|entry| read(entry).map(|read| entry.located(read)))
    }
}

fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str().trim_start_matches('+'), integer.radix()).ok()
}
