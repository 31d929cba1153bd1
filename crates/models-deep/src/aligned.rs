use std::ops::{Deref, DerefMut};

/// Numbers that begin at a cache line, so that whole vectors never straddle two.
///
/// Where allocators put large blocks, every vector of 64 bytes would.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy> Aligned<T> {
    const LINE: usize = 64;

    /// `len` times `value`.
    pub(crate) fn new(value: T, len: usize) -> Self {
        let spare = Self::LINE / size_of::<T>().max(1);
        let data = vec![value; len + spare];
        // A vector that is never resized stays where it is, wherever this is moved to.
        let start = data.as_ptr().align_offset(Self::LINE).min(spare);
        Self { data, start, len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_cache_line_and_stay_there() {
        for len in [0, 1, 7, 100, 1_000_000] {
            let mut numbers = Aligned::new(1.5_f32, len);
            numbers.iter_mut().for_each(|x| *x += 1.0);
            let moved = Box::new(numbers);
            assert_eq!(moved.as_ptr() as usize % 64, 0);
            assert_eq!((moved.len(), moved.iter().sum::<f32>()), (len, 2.5 * len as f32));
        }
    }
}
