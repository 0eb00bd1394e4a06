//! Public keys that were decompressed before. A key gets in with its first valid signature, so forged messages in the
//! names of many do not replace the keys of those who do sign.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use curve25519_dalek::edwards::EdwardsPoint;

/// Two generations of this size: 4,096 authors, of about 230 bytes each.
const GENERATION: usize = 2048;

#[derive(Clone, Copy)]
pub struct Key {
    /// The public key, negated.
    pub minus_a: EdwardsPoint,
    /// Whether it has no component of small order and is not the identity; None until it is needed, as finding out costs
    /// as much as a verification.
    pub can_be_in_batch: Option<bool>,
}

/// When the young generation is full it becomes the old one, which is dropped. Keys in use become young again.
#[derive(Default)]
pub struct Keys {
    young: HashMap<[u8; 32], Key>,
    old: HashMap<[u8; 32], Key>,
}

impl Keys {
    /// Hold it for lookups only: the event loop waits for it.
    pub fn lock() -> MutexGuard<'static, Self> {
        static KEYS: LazyLock<Mutex<Keys>> = LazyLock::new(Mutex::default);
        KEYS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys in both generations; one that became young again counts twice until the old one is dropped.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn get(&mut self, public_key: &[u8; 32]) -> Option<Key> {
        if let Some(key) = self.young.get(public_key) {
            return Some(*key);
        }
        let key = *self.old.get(public_key)?;
        self.insert(*public_key, key);
        Some(key)
    }

    pub fn insert(&mut self, public_key: [u8; 32], key: Key) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&public_key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(public_key, key);
    }
}
