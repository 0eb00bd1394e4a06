//! One signature, verified as Go does: without cofactor, R compared as bytes, S below the order of the group, and any
//! public key that decompresses, also in an encoding that is not canonical.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

pub struct Item<'a> {
    pub public_key: &'a [u8; 32],
    pub signature: &'a [u8; 64],
    pub message: &'a [u8],
}

/// What the equation `S·B = R + k·A` needs, but for the points.
pub struct Parts {
    pub r: [u8; 32],
    pub s: Scalar,
    pub k: Scalar,
}

impl Parts {
    /// None if S is not below the order of the group: with it, everybody could make a second signature of the first.
    pub fn of(item: &Item) -> Option<Self> {
        let (r, s) = item.signature.split_first_chunk::<32>()?;
        let s = Option::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let hash = Sha512::new().chain_update(r).chain_update(item.public_key).chain_update(item.message);
        Some(Self { r: *r, s, k: Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) })
    }

    /// `minus_a`: the public key, negated.
    pub fn is_valid(&self, minus_a: &EdwardsPoint) -> bool {
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, minus_a, &self.s).compress().0 == self.r
    }

    /// None if no signature with this R is valid: it is no point, or not in the encoding that `is_valid` compares with.
    pub fn r_point(&self) -> Option<EdwardsPoint> {
        if is_canonical(&self.r) { CompressedEdwardsY(self.r).decompress() } else { None }
    }
}

/// Whether the bytes are what a point with these coordinates is encoded as: y below p = 2^255 - 19, and no sign where x
/// is zero, which it is for y = 1 and y = p - 1.
fn is_canonical(encoded: &[u8; 32]) -> bool {
    let y_from_ec = encoded[1..31].iter().all(|byte| *byte == 0xff) && encoded[31] & 0x7f == 0x7f;
    if y_from_ec && encoded[0] >= 0xec {
        return encoded[0] == 0xec && encoded[31] & 0x80 == 0;
    }
    let is_signed_one = encoded[0] == 1 && encoded[1..31].iter().all(|byte| *byte == 0) && encoded[31] == 0x80;
    !is_signed_one
}
