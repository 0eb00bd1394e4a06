//! Several signatures in one buffer, so that a batch costs one call.

use crate::signature::Item;

const LENGTH: usize = 4;
const PUBLIC_KEY: usize = 32;
const SIGNATURE: usize = 64;
const HEAD: usize = LENGTH + PUBLIC_KEY + SIGNATURE;

/// The items of `packed`, which has to end where the last one ends.
pub fn parse(packed: &[u8], count: u32) -> Result<Vec<Item<'_>>, String> {
    let size = packed.len();
    // Before memory is reserved for that many.
    if size / HEAD < count as usize {
        return Err(format!("{count} signatures in {size} bytes (expected at least {HEAD} bytes for each)"));
    }
    let mut items = Vec::with_capacity(count as usize);
    let mut rest = packed;
    for index in 0..count {
        let Some((item, after)) = first(rest) else {
            return Err(format!("signature {index} of {count} is truncated at byte {size}"));
        };
        items.push(item);
        rest = after;
    }
    if rest.is_empty() { Ok(items) } else { Err(format!("{} bytes after {count} signatures", rest.len())) }
}

fn first(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let (public_key, rest) = rest.split_first_chunk::<PUBLIC_KEY>()?;
    let (signature, rest) = rest.split_first_chunk::<SIGNATURE>()?;
    let (message, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((Item { public_key, signature, message }, rest))
}
