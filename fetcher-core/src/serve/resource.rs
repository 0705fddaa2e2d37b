//! What clients write: instance names, and the names of resources to read.

use tonic::Status;

use crate::cas::digest::{ObjectDigest, Sha256Hash};

/// What an instance's name may not have as a part, beside what is looked for here (`remote_execution.proto`).
const RESERVED: [&str; 5] = ["uploads", "actions", "actionResults", "operations", "capabilities"];

/// Which instance names are answered.
#[derive(Debug, Clone)]
pub(super) struct InstanceNames(Vec<String>);

impl InstanceNames {
    /// The empty name, and these; any where there are none.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Refuses a name that is not served. It is no `INVALID_ARGUMENT`, which BuildStream takes for a good answer to the
    /// empty request that it begins with (`_assetcache.py` of 2.8.1).
    pub(super) fn check(&self, name: &str) -> Result<(), Status> {
        if name.is_empty() || self.0.is_empty() || self.0.iter().any(|served| served == name) {
            return Ok(());
        }
        Err(Status::not_found("there is no instance of this name here"))
    }
}

/// A resource of `ByteStream`, as `remote_execution.proto` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceName<'n> {
    pub(super) instance: &'n str,
    pub(super) object: ObjectDigest,
    /// Whether it is wanted as zstd.
    pub(super) compressed: bool,
}

impl<'n> ResourceName<'n> {
    /// Reads `[INSTANCE/]blobs/HASH/SIZE` or `[INSTANCE/]compressed-blobs/zstd/HASH/SIZE`. What follows is ignored, as
    /// the API wants it.
    pub(super) fn parse(name: &'n str) -> Result<Self, Status> {
        let malformed = || Status::invalid_argument("the resource is not named [INSTANCE/]blobs/HASH/SIZE");
        let mut start = 0;
        for part in name.split('/') {
            if RESERVED.contains(&part) {
                return Err(malformed());
            }
            if matches!(part, "blobs" | "compressed-blobs") {
                let instance = name[..start].trim_end_matches('/');
                let mut rest = name[start + part.len()..].split('/').skip(1);
                let compressed = part == "compressed-blobs";
                if compressed && rest.next() != Some("zstd") {
                    return Err(Status::invalid_argument("the only compressor here is zstd"));
                }
                let hash = rest.next().and_then(Sha256Hash::parse).ok_or_else(malformed)?;
                let size = rest.next().filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()));
                let size = size.and_then(|size| size.parse::<i64>().ok()?.try_into().ok()).ok_or_else(malformed)?;
                return Ok(Self { instance, object: ObjectDigest { hash, size }, compressed });
            }
            start += part.len() + 1;
        }
        Err(malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_taken_apart() {
        let hash = Sha256Hash::of(b"x");
        let parse =
            |name: &str| ResourceName::parse(name).ok().map(|r| (r.instance.to_owned(), r.object.size, r.compressed));
        assert_eq!(parse(&format!("blobs/{hash}/1")), Some((String::new(), 1, false)));
        assert_eq!(parse(&format!("a/b/blobs/{hash}/12/name/of/file")), Some(("a/b".to_owned(), 12, false)));
        assert_eq!(parse(&format!("main/compressed-blobs/zstd/{hash}/7")), Some(("main".to_owned(), 7, true)));
        for bad in [
            String::new(),
            "blobs".to_owned(),
            format!("blobs/{hash}"),
            format!("blobs/{hash}/-1"),
            format!("blobs/{hash}/+1"),
            format!("blobs/{hash}/99999999999999999999"),
            format!("blobs/../{hash}/1"),
            format!("uploads/u/{hash}/1"),
            format!("compressed-blobs/deflate/{hash}/1"),
            format!("blobs/blake3/{hash}/1"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn other_instances_are_not_here() {
        let some = InstanceNames::new(vec!["main".to_owned()]);
        assert!(some.check("").is_ok() && some.check("main").is_ok() && some.check("other").is_err());
        assert!(InstanceNames::new(Vec::new()).check("other").is_ok());
    }
}
