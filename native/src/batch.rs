//! Many signatures in one equation. A batch verifies the sum of `z·(S·B - R - k·A)` over its signatures, with a random z
//! for each, and adds up the terms of one author first: few authors sign most messages of the network.
//!
//! Its result is that of each signature alone, except for R with a component of small order, which only the author can
//! make with the secret key: docs/adr/0008-native-verification.md.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};

use crate::keys::{Key, Keys};
use crate::signature::{Item, Parts};

/// Measured with 300 bytes each: 128 cost more per signature than 64, as their tables do not fit in the cache.
const MAX_BATCH: usize = 64;
/// Fewer are as fast one by one.
const MIN_BATCH: usize = 2;
/// Halves of fewer cost more than to verify each: two invalid in a batch of 2 cost 3.3 times as much as alone.
const MIN_HALVED: usize = 16;

/// An author of a chunk.
struct Author {
    public_key: [u8; 32],
    key: Key,
    is_new: bool,
}

/// A signature that can be in a batch.
struct Candidate {
    /// Where its result goes.
    index: usize,
    author: usize,
    parts: Parts,
    minus_r: EdwardsPoint,
    z: Scalar,
}

pub fn verify_one(public_key: &[u8; 32], signature: &[u8; 64], message: &[u8]) -> bool {
    let Some(parts) = Parts::of(&Item { public_key, signature, message }) else { return false };
    let known = Keys::lock().get(public_key);
    if let Some(key) = known {
        return parts.is_valid(&key.minus_a);
    }
    let key = first_valid(public_key, &parts);
    if let Some(key) = key {
        Keys::lock().insert(*public_key, key);
    }
    key.is_some()
}

/// One result for each item, in order.
pub fn verify_all(items: &[Item]) -> Vec<bool> {
    if let [Item { public_key, signature, message }] = items {
        return vec![verify_one(public_key, signature, message)];
    }
    let mut results = vec![false; items.len()];
    let chunks = items.len().div_ceil(MAX_BATCH).max(1);
    let size = items.len().div_ceil(chunks).max(1);
    for (chunk, results) in items.chunks(size).zip(results.chunks_mut(size)) {
        verify_chunk(chunk, results);
    }
    results
}

/// The key, if it is one and the signature is valid.
fn first_valid(public_key: &[u8; 32], parts: &Parts) -> Option<Key> {
    let minus_a = -CompressedEdwardsY(*public_key).decompress()?;
    parts.is_valid(&minus_a).then_some(Key { minus_a, can_be_in_batch: None })
}

fn verify_chunk(items: &[Item], results: &mut [bool]) {
    let mut authors = known_authors(items);
    let mut candidates = Vec::with_capacity(items.len());
    // Without random numbers there are no batches.
    let mut random = [0; 16 * MAX_BATCH];
    let can_batch = items.len() >= MIN_BATCH && getrandom::fill(&mut random[..16 * items.len()]).is_ok();
    for ((index, item), z) in items.iter().enumerate().zip(random.as_chunks::<16>().0) {
        let Some(parts) = Parts::of(item) else { continue };
        let Some(author) = authors.iter().position(|author| author.public_key == *item.public_key) else {
            if let Some(key) = first_valid(item.public_key, &parts) {
                results[index] = true;
                authors.push(Author { public_key: *item.public_key, key, is_new: true });
            }
            continue;
        };
        if can_batch && can_be_in_batch(&mut authors[author]) {
            let Some(minus_r) = parts.r_point().map(|r| -r) else { continue };
            candidates.push(Candidate { index, author, parts, minus_r, z: Scalar::from(u128::from_le_bytes(*z)) });
        } else {
            results[index] = parts.is_valid(&authors[author].key.minus_a);
        }
    }
    settle(&candidates, &authors, results, false);
    let mut keys = Keys::lock();
    for author in authors.iter().filter(|author| author.is_new) {
        keys.insert(author.public_key, author.key);
    }
}

fn known_authors(items: &[Item]) -> Vec<Author> {
    let mut authors: Vec<Author> = Vec::new();
    let mut keys = Keys::lock();
    for Item { public_key, .. } in items {
        if authors.iter().any(|author| author.public_key == **public_key) {
            continue;
        }
        if let Some(key) = keys.get(public_key) {
            authors.push(Author { public_key: **public_key, key, is_new: false });
        }
    }
    authors
}

fn can_be_in_batch(author: &mut Author) -> bool {
    *author.key.can_be_in_batch.get_or_insert_with(|| {
        author.is_new = true;
        // Everybody can sign for the identity, so anybody could make its R.
        author.key.minus_a.is_torsion_free() && !author.key.minus_a.is_identity()
    })
}

/// Finds the invalid signatures of a batch that fails by halving it. Where both halves fail, many are invalid: then each
/// is verified alone, as it is in small batches. So nobody makes the work more than two batches and a verification for
/// each signature.
fn settle(group: &[Candidate], authors: &[Author], results: &mut [bool], fails: bool) {
    if group.len() < MIN_BATCH {
        return verify_each(group, authors, results);
    }
    if !fails && holds(group, authors) {
        return accept(group, results);
    }
    if group.len() < MIN_HALVED {
        return verify_each(group, authors, results);
    }
    let (left, right) = group.split_at(group.len() / 2);
    if holds(left, authors) {
        accept(left, results);
        // The sum of both halves is not zero and that of the left one is.
        settle(right, authors, results, true);
    } else if holds(right, authors) {
        accept(right, results);
        settle(left, authors, results, true);
    } else {
        verify_each(group, authors, results);
    }
}

fn accept(group: &[Candidate], results: &mut [bool]) {
    for candidate in group {
        results[candidate.index] = true;
    }
}

fn verify_each(group: &[Candidate], authors: &[Author], results: &mut [bool]) {
    for Candidate { index, author, parts, .. } in group {
        results[*index] = parts.is_valid(&authors[*author].key.minus_a);
    }
}

/// Whether the sum is zero. A z has half the length of other scalars: it is not multiplied into -1 here.
fn holds(group: &[Candidate], authors: &[Author]) -> bool {
    let mut of_base = Scalar::ZERO;
    let mut of_authors = vec![Scalar::ZERO; authors.len()];
    for Candidate { author, parts, z, .. } in group {
        of_base += z * parts.s;
        of_authors[*author] += z * parts.k;
    }
    let author_terms = of_authors.iter().zip(authors).map(|(scalar, author)| (*scalar, author.key.minus_a));
    let terms = [(of_base, ED25519_BASEPOINT_POINT)]
        .into_iter()
        .chain(author_terms.filter(|(scalar, _)| *scalar != Scalar::ZERO))
        .chain(group.iter().map(|each| (each.z, each.minus_r)));
    let (scalars, points): (Vec<_>, Vec<_>) = terms.unzip();
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).is_identity()
}
