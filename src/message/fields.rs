//! The fields of one message: a list in the order in which they came.
//!
//! A message has a dozen fields, and what looks for one looks at each name: a comparison of two bytes
//! for the names that HTTP knows. That is cheaper than a hash of each name, and keeps the order. How many
//! there may be is limited where a message is read, and with it what a look costs.

use std::fmt;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::spares::Spares;

/// Names and values, each name as often as it came.
///
/// The room of one that is dropped is used by the next of the same thread.
#[derive(Default)]
pub struct Fields {
    list: Vec<(HeaderName, HeaderValue)>,
}

impl Fields {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are, each line counted.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> <&Self as IntoIterator>::IntoIter {
        self.into_iter()
    }

    /// Their names, in their order, each as often as it came.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.list.iter().map(|(name, _)| name)
    }

    /// The first value of a name.
    pub fn get(&self, name: impl Named) -> Option<&HeaderValue> {
        self.list.iter().find(|(it, _)| name.names(it)).map(|(_, value)| value)
    }

    /// All values of a name, in their order.
    pub fn get_all<N: Named>(&self, name: N) -> Values<'_, N> {
        Values { left: self.list.iter(), name }
    }

    /// All values of a name, to be changed.
    pub fn get_all_mut(&mut self, name: impl Named) -> impl Iterator<Item = &mut HeaderValue> {
        self.list.iter_mut().filter(move |(it, _)| name.names(it)).map(|(_, value)| value)
    }

    /// Whether a name is there.
    pub fn contains(&self, name: impl Named) -> bool {
        self.position(name).is_some()
    }

    /// One more, whether or not its name is there already.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        if self.list.capacity() == 0 {
            self.list = spare();
        }
        self.list.push((name, value));
    }

    /// One, in place of all that have its name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(at) = self.position(&name) else { return self.append(name, value) };
        self.list[at].1 = value;
        if self.list[at + 1..].iter().any(|(it, _)| *it == name) {
            let mut seen = false;
            self.list.retain(|(it, _)| *it != name || !std::mem::replace(&mut seen, true));
        }
    }

    /// One, unless its name is there already.
    pub fn insert_if_missing(&mut self, name: HeaderName, value: impl FnOnce() -> HeaderValue) {
        if self.position(&name).is_none() {
            self.append(name, value());
        }
    }

    /// Removes all that have this name; the first value, if there was one.
    pub fn remove(&mut self, name: impl Named) -> Option<HeaderValue> {
        let at = self.position(&name)?;
        let (_, first) = self.list.remove(at);
        self.list.retain(|(it, _)| !name.names(it));
        Some(first)
    }

    /// Removes what is not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.list.retain(|(name, value)| keep(name, value));
    }

    fn position(&self, name: impl Named) -> Option<usize> {
        self.list.iter().position(|(it, _)| name.names(it))
    }
}

/// What a field can be looked for by: its name, or the same in lower-case letters.
pub trait Named {
    /// Whether this is its name.
    fn names(&self, name: &HeaderName) -> bool;
}

impl Named for HeaderName {
    fn names(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl Named for str {
    fn names(&self, name: &HeaderName) -> bool {
        self == name.as_str()
    }
}

impl<N: Named + ?Sized> Named for &N {
    fn names(&self, name: &HeaderName) -> bool {
        (**self).names(name)
    }
}

/// The values of one name.
#[derive(Clone, Debug)]
pub struct Values<'a, N> {
    left: std::slice::Iter<'a, (HeaderName, HeaderValue)>,
    name: N,
}

impl<'a, N: Named> Iterator for Values<'a, N> {
    type Item = &'a HeaderValue;

    fn next(&mut self) -> Option<&'a HeaderValue> {
        self.left.find(|(it, _)| self.name.names(it)).map(|(_, value)| value)
    }
}

impl<N: Named> DoubleEndedIterator for Values<'_, N> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left.rfind(|(it, _)| self.name.names(it)).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a HeaderName, &'a HeaderValue);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (HeaderName, HeaderValue)>,
        fn(&'a (HeaderName, HeaderValue)) -> Self::Item,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter().map(|(name, value)| (name, value))
    }
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut list = if self.list.is_empty() { Vec::new() } else { spare() };
        list.extend_from_slice(&self.list);
        Self { list }
    }
}

impl fmt::Debug for Fields {
    /// Values are left out: some of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|(name, _)| name)).finish()
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if !(1..=MOST_SPARED).contains(&self.list.capacity()) {
            return;
        }
        let mut list = std::mem::take(&mut self.list);
        list.clear();
        Spares::keep(&SPARE, list);
    }
}

impl Extend<(HeaderName, HeaderValue)> for Fields {
    fn extend<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, fields: I) {
        fields.into_iter().for_each(|(name, value)| self.append(name, value));
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut list = Self::new();
        list.extend(fields);
        list
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        let mut fields = Self::new();
        let mut last = None;
        for (name, value) in map {
            // A map says a name once for all of its values.
            last = name.or(last);
            if let Some(name) = &last {
                fields.append(name.clone(), value);
            }
        }
        fields
    }
}

impl From<Fields> for HeaderMap {
    fn from(mut fields: Fields) -> Self {
        let mut map = Self::with_capacity(fields.len());
        for (name, value) in fields.list.drain(..) {
            map.append(name, value);
        }
        map
    }
}

fn spare() -> Vec<(HeaderName, HeaderValue)> {
    Spares::take(&SPARE).unwrap_or_else(|| Vec::with_capacity(USUAL))
}

thread_local! {
    static SPARE: Spares<Vec<(HeaderName, HeaderValue)>> = const { Spares::new(SPARES) };
}

/// Fields that a list has room for at first: more than most messages have.
const USUAL: usize = 24;

/// Fields that a list has room for at most, if its room is to be used again.
const MOST_SPARED: usize = 64;

/// Lists of a thread whose room waits for the next.
const SPARES: usize = 32;

#[cfg(test)]
mod tests {
    use http::header;
    use proptest::prelude::*;

    use super::*;
    use crate::message::testing::fields;

    fn lines(fields: &Fields) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().expect("text"))
        };
        fields.iter().map(line).collect()
    }

    #[test]
    fn order_is_kept_and_names_come_as_often_as_they_came() {
        let fields = fields(&[("x-b", "1"), ("accept", "2"), ("x-b", "3")]);
        assert_eq!(lines(&fields), ["x-b: 1", "accept: 2", "x-b: 3"]);
        let name = HeaderName::from_static("x-b");
        assert_eq!(fields.get(&name).expect("it is there"), "1");
        assert_eq!(fields.get_all(&name).collect::<Vec<_>>(), ["1", "3"]);
        assert!(fields.contains(&header::ACCEPT) && !fields.contains(&header::COOKIE));
    }

    #[test]
    fn what_is_inserted_takes_the_place_of_all_that_have_its_name() {
        let mut fields = fields(&[("x-b", "1"), ("accept", "2"), ("x-b", "3"), ("x-b", "4")]);
        fields.insert(HeaderName::from_static("x-b"), HeaderValue::from_static("5"));
        assert_eq!(lines(&fields), ["x-b: 5", "accept: 2"]);
        fields.insert_if_missing(header::ACCEPT, || HeaderValue::from_static("6"));
        fields.insert_if_missing(header::VARY, || HeaderValue::from_static("7"));
        assert_eq!(lines(&fields), ["x-b: 5", "accept: 2", "vary: 7"]);
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", fields(&[("authorization", "a secret")]));
        assert_eq!(shown, r#"["authorization"]"#);
    }

    proptest! {
        #[test]
        fn a_list_does_what_a_map_does(
            steps in proptest::collection::vec((0_u8..4, 0_usize..4, 0_u16..1000), 0..40),
        ) {
            let names = [header::ACCEPT, header::COOKIE, HeaderName::from_static("x-a"), header::VARY];
            let (mut list, mut map) = (Fields::new(), HeaderMap::new());
            for (step, name, value) in steps {
                let (name, value) = (&names[name], HeaderValue::from(value));
                match step {
                    0 => prop_assert_eq!(list.remove(name), map.remove(name)),
                    1 => {
                        list.insert(name.clone(), value.clone());
                        map.insert(name.clone(), value);
                    }
                    _ => {
                        list.append(name.clone(), value.clone());
                        map.append(name.clone(), value);
                    }
                }
            }
            prop_assert_eq!(list.len(), map.len());
            for name in &names {
                let values: Vec<_> = list.get_all(name).collect();
                prop_assert_eq!(values, map.get_all(name).iter().collect::<Vec<_>>());
                prop_assert_eq!(list.contains(name), map.contains_key(name));
            }
            prop_assert_eq!(HeaderMap::from(list.clone()), map.clone());
            prop_assert_eq!(HeaderMap::from(Fields::from(map.clone())), map);
        }
    }
}
