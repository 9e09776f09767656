//! Buffers kept from one output to the next and from one picture to the next: fresh large
//! allocations cost page faults, several milliseconds a photo.

/// Buffers waiting for reuse, at most [`Pool::KEEP`] bytes of them.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pool {
    /// More than this is given back to the allocator: enough for photos of 24 megapixels.
    const KEEP: usize = 64 << 20;

    /// A buffer of `len` bytes with arbitrary contents.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let best = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, buffer)| buffer.capacity() >= len)
            .min_by_key(|(_, buffer)| buffer.capacity())
            .filter(|(_, buffer)| buffer.capacity() / 4 <= len)
            .map(|(index, _)| index);
        match best {
            Some(index) => {
                let mut buffer = self.free.swap_remove(index);
                self.bytes -= buffer.capacity();
                buffer.resize(len, 0);
                buffer
            }
            None => vec![0; len],
        }
    }

    /// Gives a buffer back.
    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        if self.bytes + buffer.capacity() <= Self::KEEP {
            self.bytes += buffer.capacity();
            self.free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_with_the_length_asked_for() {
        let mut pool = Pool::default();
        let first = pool.take(1000);
        let at = first.as_ptr();
        pool.put(first);
        let second = pool.take(900);
        assert_eq!((second.len(), second.as_ptr()), (900, at));
        pool.put(second);
        assert_eq!(pool.take(10).len(), 10, "a small want does not use up a large buffer");
        assert_eq!(pool.free.len(), 1);
        pool.put(Vec::with_capacity(Pool::KEEP));
        assert_eq!(pool.free.len(), 1, "the pool is bounded");
    }
}
