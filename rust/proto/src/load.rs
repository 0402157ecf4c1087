//! How much of the client's is on its way, counted where it lies.
//!
//! A frame may wait at the gate, for a slot, in the lane, or in an exchange. Wherever it ends, its
//! [`Weight`] goes with it, so that no path can forget to take it off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the client's frames in the bridge add up to.
#[derive(Debug, Default)]
pub struct Load(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    frames: AtomicUsize,
    bytes: AtomicUsize,
}

/// The share of one frame; taken off when dropped.
#[derive(Debug)]
pub struct Weight {
    load: Arc<Counters>,
    bytes: usize,
}

impl Load {
    /// Puts a frame of `bytes` on.
    #[must_use]
    pub fn weigh(&self, bytes: usize) -> Weight {
        self.0.frames.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Weight { load: Arc::clone(&self.0), bytes }
    }

    /// How many frames are in the bridge.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.0.frames.load(Ordering::Relaxed)
    }

    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.load.frames.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_weight_is_off() {
        let load = Load::default();
        let one = load.weigh(10);
        let two = load.weigh(5);
        assert_eq!((load.frames(), load.bytes()), (2, 15));
        drop(one);
        assert_eq!((load.frames(), load.bytes()), (1, 5));
        drop(two);
        assert_eq!((load.frames(), load.bytes()), (0, 0));
    }
}
