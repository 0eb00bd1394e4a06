//! Ed25519 verification with the results of Go's crypto/ed25519, one by one or in batches. Input that does not have the
//! form it should is an exception in JavaScript; a panic would be one too.
#![deny(unsafe_code)]

mod batch;
mod keys;
mod packed;
mod signature;

use napi::bindgen_prelude::{AsyncTask, Uint8Array, Uint8ArraySlice};
use napi::{Env, Error, Result, Status, Task};
use napi_derive::napi;

fn invalid(reason: String) -> Error {
    Error::new(Status::InvalidArg, reason)
}

/// A signature of another length than 64 bytes is invalid, a public key of another length than 32 an exception.
#[napi(catch_unwind)]
pub fn verify(public_key: &[u8], signature: &[u8], message: &[u8]) -> Result<bool> {
    let Ok(public_key) = public_key.try_into() else {
        return Err(invalid(format!("public key of {} bytes (expected 32)", public_key.len())));
    };
    Ok(signature.try_into().is_ok_and(|signature| batch::verify_one(public_key, signature, message)))
}

/// Public keys that are kept, of the whole process.
#[napi]
pub fn kept_keys() -> u32 {
    u32::try_from(keys::Keys::lock().len()).unwrap_or(u32::MAX)
}

/// `packed`: for each of `count` items the length of its message (u32, little-endian), the public key (32 bytes), the
/// signature (64) and the message. Writes 1 for each valid signature and 0 for each other into `results`.
#[napi(catch_unwind)]
pub fn verify_packed(packed: Uint8ArraySlice, count: u32, mut results: Uint8ArraySlice) -> Result<()> {
    let room = results.len();
    if room < count as usize {
        return Err(invalid(format!("room for {room} results (expected {count})")));
    }
    let verified = batch::verify_all(&packed::parse(&packed, count).map_err(invalid)?);
    // SAFETY: `results` may share memory with `packed`, which nothing reads from here on, and JavaScript does not run.
    #[allow(unsafe_code)]
    let results = unsafe { results.as_mut() };
    for (result, is_valid) in results.iter_mut().zip(verified) {
        *result = u8::from(is_valid);
    }
    Ok(())
}

pub struct PackedTask {
    packed: Vec<u8>,
    count: u32,
}

impl Task for PackedTask {
    type Output = Vec<u8>;
    type JsValue = Uint8Array;

    fn compute(&mut self) -> Result<Vec<u8>> {
        // Node-API calls this on a thread of its pool, where a panic would end the process.
        let verify = || packed::parse(&self.packed, self.count).map(|items| batch::verify_all(&items));
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(verify)) {
            Ok(verified) => Ok(verified.map_err(invalid)?.into_iter().map(u8::from).collect()),
            Err(_) => Err(Error::new(Status::GenericFailure, "verification panicked".to_owned())),
        }
    }

    fn resolve(&mut self, _env: Env, results: Vec<u8>) -> Result<Uint8Array> {
        Ok(results.into())
    }
}

/// The same on a thread of Node's pool; resolves with the results. `packed` is copied, as JavaScript could change,
/// resize or transfer it meanwhile.
#[napi(catch_unwind)]
pub fn verify_packed_async(packed: Uint8ArraySlice, count: u32) -> AsyncTask<PackedTask> {
    AsyncTask::new(PackedTask { packed: packed.to_vec(), count })
}
