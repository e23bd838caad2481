//! A mutable buffer that several threads write at once, each at places of its own.

use std::marker::PhantomData;

/// A borrowed mutable buffer whose parts are handed to threads.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut<'a, T = f32> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: the pointer is only dereferenced through `slice` and `pointer`, whose callers promise
// that no two threads touch the same element.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(buffer: &'a mut [T]) -> Self {
        SharedMut { start: buffer.as_mut_ptr(), len: buffer.len(), borrow: PhantomData }
    }

    /// A part of the buffer.
    ///
    /// # Safety
    /// No other live reference or thread may touch the part.
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start + len <= self.len, "a part lies inside its buffer");
        // SAFETY: inside the buffer by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to an element from which rows are written; `last` is the furthest element used.
    pub(crate) fn pointer(&self, start: usize, last: usize) -> *mut T {
        assert!(start <= last && last < self.len, "a part lies inside its buffer");
        // SAFETY: inside the buffer by the assertion.
        unsafe { self.start.add(start) }
    }
}
