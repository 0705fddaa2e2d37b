//! Which git work tree a configuration file belongs to.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links are followed as the kernel would (`path_resolution(7)`).
const LINKS: usize = 40;

/// A file's place in a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClonePath {
    /// The top of the work tree, without symbolic links.
    pub(super) top: PathBuf,
    /// The file inside it, as its name is there: a link of the work tree's own is not followed, for the next commit
    /// may let it lead elsewhere.
    pub(super) entry: PathBuf,
}

/// The innermost work tree that a path leads into, symbolic links outside of it followed. The file need not be there.
pub(super) fn find(path: &Path) -> Option<ClonePath> {
    follow(path, &mut |_| {})
}

/// Every place in a work tree that a path leads out of by a symbolic link of the work tree's own: where the file would
/// be without that link.
pub(super) fn left(path: &Path) -> Vec<ClonePath> {
    let mut places = Vec::new();
    follow(path, &mut |place| places.push(place));
    places
}

fn follow(path: &Path, leave: &mut dyn FnMut(ClonePath)) -> Option<ClonePath> {
    let mut todo: VecDeque<OsString> = parts(&std::path::absolute(path).ok()?);
    let (mut real, mut found) = (PathBuf::from("/"), None::<ClonePath>);
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            real.pop();
            found = found.and_then(|mut place| place.entry.pop().then_some(place));
            continue;
        }
        let next = real.join(&part);
        if let Ok(target) = fs::read_link(&next) {
            links += 1;
            let inside = found.as_ref().zip(next.canonicalize().ok()).filter(|(place, to)| to.starts_with(&place.top));
            let Some((_, to)) = inside else {
                if let Some(mut place) = found.take() {
                    place.entry.extend([&part].into_iter().chain(&todo));
                    leave(place);
                }
                // It begins anew from the root, for what it leads through may be work trees too.
                todo = parts(&real.join(target)).into_iter().chain(todo).collect();
                (real, found) = (PathBuf::from("/"), None);
                if links > LINKS {
                    return None;
                }
                continue;
            };
            real = to;
        } else {
            real = next;
        }
        if let Some(place) = &mut found {
            place.entry.push(&part);
        }
        if !todo.is_empty() && fs::symlink_metadata(real.join(".git")).is_ok() {
            found = Some(ClonePath { top: real.clone(), entry: PathBuf::new() });
        }
    }
    found.filter(|place| !place.entry.as_os_str().is_empty())
}

/// The names that a path is made of, `..` among them.
pub(super) fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_into_a_work_tree_and_not_inside_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("etc/.git")).unwrap();
        fs::create_dir_all(root.join("srv/conf/.git")).unwrap();
        fs::create_dir_all(root.join("srv/conf/hosts")).unwrap();
        fs::write(root.join("srv/conf/common.toml"), "").unwrap();
        symlink("../common.toml", root.join("srv/conf/hosts/a.toml")).unwrap();
        symlink("../srv/conf/hosts/a.toml", root.join("etc/config.toml")).unwrap();
        symlink(root.join("etc"), root.join("link")).unwrap();
        let place = |top: &str, entry: &str| Some(ClonePath { top: root.join(top), entry: entry.into() });
        let inner = place("srv/conf", "hosts/a.toml");
        assert_eq!(find(&root.join("srv/conf/hosts/a.toml")), inner);
        assert_eq!(find(&root.join("etc/config.toml")), inner);
        assert_eq!(find(&root.join("link/config.toml")), inner);
        assert_eq!(find(&root.join("srv/conf/hosts/../gone/b.toml")), place("srv/conf", "gone/b.toml"));
        assert_eq!(find(&root.join("etc/other.toml")), place("etc", "other.toml"));
        assert_eq!(find(&root.join("srv/conf/../x.toml")), None);
        symlink("../../etc", root.join("srv/conf/out")).unwrap();
        assert_eq!(find(&root.join("srv/conf/out/x/a.toml")), place("etc", "x/a.toml"));
        assert_eq!(left(&root.join("srv/conf/out/x/a.toml")), [place("srv/conf", "out/x/a.toml").unwrap()]);
        assert_eq!(left(&root.join("srv/conf/hosts/a.toml")), []);
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(find(&root.join("loop")), None);
    }
}
