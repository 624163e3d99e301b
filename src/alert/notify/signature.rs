//! Standard Webhooks signatures: HMAC-SHA256 over id, timestamp and body.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::SigningKey;

/// The value of `webhook-signature`: one `v1,<base64>` per key, separated by spaces, so that a
/// receiver with any of the keys accepts it.
pub fn sign(keys: &[SigningKey], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
            mac.update(format!("{id}.{timestamp_s}.").as_bytes());
            mac.update(body);
            Some(format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes())))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn published_key() -> SigningKey {
        SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    #[test]
    fn it_is_the_published_one() {
        assert_eq!(sign(&[published_key()], ID, TIMESTAMP_S, BODY), SIGNATURE);
    }

    #[test]
    fn every_part_counts() {
        let keys = [published_key()];
        assert_ne!(sign(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJel", TIMESTAMP_S, BODY), SIGNATURE);
        assert_ne!(sign(&keys, ID, TIMESTAMP_S + 1, BODY), SIGNATURE);
        assert_ne!(sign(&keys, ID, TIMESTAMP_S, br#"{"test":2432232314}"#), SIGNATURE);
    }

    #[test]
    fn during_rotation_both_keys_sign() {
        let new = SigningKey::parse(&format!("whsec_{}", BASE64.encode(&[7; 32]))).unwrap();
        let both = sign(&[new.clone(), published_key()], ID, TIMESTAMP_S, BODY);
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, sign(&[new], ID, TIMESTAMP_S, BODY));
        assert_eq!(second, SIGNATURE);
    }
}
