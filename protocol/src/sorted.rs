//! Things in one piece of memory, in the order of their names: for those that are few, looked up seldom and walked often.

use std::ops::{Deref, Index};

/// Something with a name that no other has.
pub trait Named {
    /// What names it.
    type Name: Ord;

    /// Its name.
    fn name(&self) -> &Self::Name;
}

/// Things in the order of their names.
#[derive(Clone, Debug)]
pub struct Sorted<T>(Vec<T>);

impl<T> Default for Sorted<T> {
    fn default() -> Sorted<T> {
        Sorted(Vec::new())
    }
}

impl<T: Named> Sorted<T> {
    fn place(&self, name: &T::Name) -> Result<usize, usize> {
        self.0.binary_search_by(|thing| thing.name().cmp(name))
    }

    /// The thing of that name.
    pub fn get(&self, name: &T::Name) -> Option<&T> {
        Some(&self.0[self.place(name).ok()?])
    }

    /// The same, to be changed, but not in its name.
    pub(crate) fn get_mut(&mut self, name: &T::Name) -> Option<&mut T> {
        let place = self.place(name).ok()?;
        Some(&mut self.0[place])
    }

    /// Puts a thing in its place, or in that of the one that had its name.
    pub(crate) fn insert(&mut self, thing: T) {
        match self.place(thing.name()) {
            Ok(place) => self.0[place] = thing,
            Err(place) => self.0.insert(place, thing),
        }
    }

    /// Takes the thing of that name out.
    pub(crate) fn remove(&mut self, name: &T::Name) -> Option<T> {
        let place = self.place(name).ok()?;
        Some(self.0.remove(place))
    }
}

impl<T> Sorted<T> {
    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve_exact(more);
    }

    /// All of them, to be changed, but not in their names.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }
}

impl<T> Deref for Sorted<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for Sorted<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Named> Index<&T::Name> for Sorted<T> {
    type Output = T;

    fn index(&self, name: &T::Name) -> &T {
        self.get(name).expect("what is asked for by name is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Thing(u8, char);

    impl Named for Thing {
        type Name = u8;

        fn name(&self) -> &u8 {
            &self.0
        }
    }

    #[test]
    fn things_stay_in_the_order_of_their_names_and_a_name_is_there_once() {
        let mut things = Sorted::default();
        for thing in [Thing(5, 'a'), Thing(2, 'b'), Thing(9, 'c'), Thing(5, 'd')] {
            things.insert(thing);
        }
        let in_order = [Thing(2, 'b'), Thing(5, 'd'), Thing(9, 'c')];
        assert_eq!(*things, in_order);
        assert_eq!(things.remove(&2), Some(Thing(2, 'b')));
        assert!(things.get(&2).is_none() && things.remove(&3).is_none());
        assert_eq!(things[&9].1, 'c');
    }
}
