//! The dynamic table of a decoder (RFC 7541, sections 2.3.2 and 4): the newest entry first, and the oldest
//! dropped where there is no room. Also the entries of either table.

use std::collections::VecDeque;

use super::Broken;
use super::Field;
use super::Malformed;
use super::Name;
use super::OVERHEAD;
use super::static_table;

/// One entry of the static or of the dynamic table.
#[derive(Debug)]
pub(super) struct Entry {
    field: Field,
    name_length: u32,
    value_length: u32,
}

impl Entry {
    /// A field, and how many bytes its name and its value have: one that is malformed does not tell.
    pub(super) const fn new(field: Field, name_length: usize, value_length: usize) -> Self {
        Self { field, name_length: name_length as u32, value_length: value_length as u32 }
    }

    /// The field, for whoever refers to it.
    pub(super) fn field(&self) -> Field {
        self.field.clone()
    }

    /// Its name, for a field with another value.
    ///
    /// # Errors
    ///
    /// What is wrong with the name; a value that is wrong is not passed on with it.
    pub(super) fn name(&self) -> Result<Name, Malformed> {
        match &self.field {
            Field::Pseudo(pseudo, _) => Ok(Name::Pseudo(*pseudo)),
            Field::Regular(name, _) => Ok(Name::Regular(name.clone())),
            Field::Malformed(Malformed::Value(name)) => Ok(name.clone()),
            Field::Malformed(malformed) => Err(malformed.clone()),
        }
    }

    /// Bytes of its name.
    pub(super) fn name_length(&self) -> usize {
        self.name_length as usize
    }

    /// What it counts.
    pub(super) fn size(&self) -> usize {
        self.name_length as usize + self.value_length as usize + OVERHEAD
    }
}

/// The dynamic table. An empty one has no memory.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// What the entries count together.
    size: usize,
    /// What they may count: the peer says so.
    most: usize,
}

impl Table {
    /// An empty one, for entries that count so much.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, most }
    }

    /// The entry with this index, of either table.
    ///
    /// # Errors
    ///
    /// [`Broken::Index`] if there is none.
    pub(super) fn get(&self, index: usize) -> Result<&Entry, Broken> {
        let entry = match index.checked_sub(static_table::LENGTH + 1) {
            None => static_table::entry(index),
            Some(place) => self.entries.get(place),
        };
        entry.ok_or(Broken::Index)
    }

    /// Makes room for an entry that counts so much. If it never fits, the table is empty afterwards, and
    /// the entry is not to be added: that is no error (section 4.4).
    pub(super) fn make_room(&mut self, size: usize) -> bool {
        self.shrink_to(self.most.saturating_sub(size));
        size <= self.most
    }

    /// Adds an entry that there is room for.
    pub(super) fn add(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
    }

    /// Changes what the entries may count.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink_to(most);
    }

    /// What the entries count together.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
        if self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Pseudo;
    use super::*;

    fn entry(length: usize) -> Entry {
        Entry::new(Field::Pseudo(Pseudo::Path, Bytes::from(vec![b'/'; length])), 5, length)
    }

    fn add(table: &mut Table, length: usize) {
        if table.make_room(5 + length + OVERHEAD) {
            table.add(entry(length));
        }
    }

    fn lengths(table: &Table) -> Vec<usize> {
        table.entries.iter().map(|entry| entry.value_length as usize).collect()
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let mut table = Table::new(120);
        for length in [1, 2, 3] {
            add(&mut table, length);
        }
        assert_eq!((lengths(&table), table.size()), (vec![3, 2, 1], 117));
        add(&mut table, 5);
        assert_eq!((lengths(&table), table.size()), (vec![5, 3], 82));
        assert_eq!(table.get(62).expect("the newest").size(), 42);
        assert_eq!(table.get(63).expect("the oldest").size(), 40);
        assert_eq!(table.get(64).err(), Some(Broken::Index));
        assert_eq!(table.get(0).err(), Some(Broken::Index));
        table.resize(81);
        assert_eq!((lengths(&table), table.size()), (vec![5], 42));
    }

    #[test]
    fn one_that_never_fits_leaves_none() {
        let mut table = Table::new(120);
        add(&mut table, 1);
        add(&mut table, 83);
        assert_eq!((lengths(&table), table.size()), (vec![83], 120));
        add(&mut table, 84);
        assert_eq!((lengths(&table), table.size()), (vec![], 0));
    }

    #[test]
    fn memory_goes_with_the_entries() {
        let mut table = Table::new(4096);
        assert_eq!(table.entries.capacity(), 0);
        for _ in 0..500 {
            add(&mut table, 0);
        }
        assert_eq!(table.entries.len(), 4096 / 37);
        assert!(table.entries.capacity() <= 128);
        table.resize(100);
        assert!(table.entries.len() == 2 && table.entries.capacity() < 8);
        table.resize(0);
        assert_eq!(table.entries.capacity(), 0);
    }
}
