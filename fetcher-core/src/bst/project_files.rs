//! The files of a project as bst reads them: which of them shape an element's sources.
//!
//! A checkout's files are a stranger's: none is read through a link that leads out of it, none beyond what such files
//! are, and no more than a project can have.

mod definitions;
mod reading;
mod source_mirrors;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::refs::{StoredRefs, have_urls, stored_refs, written_sources};
use super::yaml::YamlNode;
use crate::names::{ElementName, digest};

pub(crate) use definitions::{PluginProvenance, RefPlace, SourceDefinition};
use reading::{ProjectFileReader, read_file};
pub(crate) use source_mirrors::SourceMirrors;

/// How many files one element may include, directly or not.
const MOST_INCLUDES: usize = 1_000;
/// How many elements, and how many files of local plugins, a project may have.
const MOST_FILES: usize = 200_000;
/// How deep directories may lie in one another.
const DEEPEST: usize = 40;

/// A project's files, each read once.
pub(crate) struct ProjectFiles {
    root: PathBuf,
    reader: ProjectFileReader,
    name: String,
    element_path: PathBuf,
    conf: Option<YamlNode>,
    stored: [StoredRefs; 2],
    read: RefCell<BTreeMap<PathBuf, Option<Rc<ProjectFile>>>>,
    common: OnceCell<Option<String>>,
    aliases: OnceCell<BTreeMap<String, String>>,
}

/// What is known of a file: its content's digest, what it says where it is YAML, and what it includes.
struct ProjectFile {
    digest: String,
    node: Option<Rc<YamlNode>>,
    includes: Vec<String>,
}

impl ProjectFiles {
    /// The files of the project in a directory, which holds `project.conf`.
    pub(crate) fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let text = |name: &str| read_file(&root, Path::new(name)).ok();
        let conf = text("project.conf").as_deref().and_then(YamlNode::parse);
        let word = |key| conf.as_ref().and_then(|conf| conf.get(key)).and_then(YamlNode::scalar).unwrap_or_default();
        let (name, element_path) = (word("name").to_owned(), normal(Path::new(word("element-path"))));
        let stored = ["project.refs", "junction.refs"].map(|name| stored_refs(text(name).as_deref()));
        let element_path = element_path.unwrap_or_default();
        let reader = ProjectFileReader::new(root.clone());
        Self {
            root,
            reader,
            name,
            element_path,
            conf,
            stored,
            read: RefCell::default(),
            common: OnceCell::new(),
            aliases: OnceCell::new(),
        }
    }

    /// The project's name, as `project.conf` has it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The element that a file below the project's directory is.
    pub(crate) fn element_of(&self, file: &Path) -> Option<ElementName> {
        let name = file.strip_prefix(&self.element_path).ok().filter(|name| is_element(name))?;
        name.to_str()?.parse().ok()
    }

    /// Whether the project has an element of this name; of one behind junctions, whether it has the first of them.
    pub(crate) fn has(&self, element: &ElementName) -> bool {
        let own = element.junctions().next().unwrap_or_else(|| element.clone());
        self.element_file(&own).is_some_and(|path| read_file(&self.root, &path).is_ok())
    }

    /// All elements of the project itself, by name, from the files that are there; none where they are too many or
    /// cannot be listed.
    pub(crate) fn elements(&self) -> io::Result<Vec<ElementName>> {
        let top = self.root.join(&self.element_path);
        let files = files_below(&top, &|name| !name.starts_with('.'))?;
        let names = files.iter().filter(|file| is_element(file)).filter_map(|file| file.to_str());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// The elements that include a file, directly or not, by name.
    pub(crate) fn elements_that_include(&self, file: &Path) -> io::Result<Vec<ElementName>> {
        let includes = |element: &ElementName| self.files_of(element).contains(file);
        Ok(self.elements()?.into_iter().filter(includes).collect())
    }

    /// For each of some files that elements include and that have sources, the elements that include it, directly or not.
    ///
    /// # Errors
    /// When the elements cannot be listed.
    pub(crate) fn elements_that_include_any(
        &self,
        files: &BTreeSet<PathBuf>,
    ) -> io::Result<BTreeMap<PathBuf, BTreeSet<ElementName>>> {
        let has_sources =
            |file: &&PathBuf| read_file(&self.root, file).is_ok_and(|text| !written_sources(&text).is_empty());
        let mut including: BTreeMap<_, _> =
            files.iter().filter(has_sources).map(|file| (file.clone(), BTreeSet::new())).collect();
        if including.is_empty() {
            return Ok(including);
        }
        for element in self.elements()? {
            for file in self.files_of(&element) {
                if let Some(elements) = including.get_mut(&file) {
                    elements.insert(element.clone());
                }
            }
        }
        Ok(including)
    }

    /// The kind and url of each source in an element's file and what it includes, as they are written, under whichever
    /// conditions.
    pub(crate) fn written_sources(&self, element: &ElementName) -> Vec<(Option<String>, Option<String>)> {
        let texts = self.files_of(element).into_iter().filter_map(|file| read_file(&self.root, &file).ok());
        texts.flat_map(|text| written_sources(&text)).collect()
    }

    /// Where a file of the project is that is named relative to the elements, or to the project's directory; none where
    /// there is none.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let places = [self.element_path.join(name), PathBuf::from(name)];
        places.iter().filter_map(|place| normal(place)).find(|place| self.root.join(place).is_file())
    }

    /// A file of the project's directory that may be hostile; none where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, is too large or no regular file.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        match read_file(&self.root, Path::new(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An element's file and what it includes, as far as that can be read.
    fn files_of(&self, element: &ElementName) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        if let Some(path) = self.element_file(element) {
            // What can be read of an element's includes is among them.
            let _known_whole = self.add_includes(&path, &mut files);
        }
        files
    }

    /// A digest of everything in the checkout that shapes an element's sources: its file, the files that it includes,
    /// its refs wherever they are stored, `project.conf`, the junctions that lead to it, and the project's own
    /// plugins. The content of local sources is not in it. None where something cannot be read: nothing may be
    /// concluded then.
    pub(crate) fn source_inputs(&self, element: &ElementName) -> Option<String> {
        let common = self.common.get_or_init(|| self.common()).clone()?;
        let mut parts = vec![common, element.to_string()];
        for junction in element.junctions() {
            self.add_inputs(&junction, &mut parts)?;
        }
        self.add_inputs(element, &mut parts)?;
        let parts: Vec<_> = parts.iter().map(|part| digest(part.as_bytes())).collect();
        Some(digest(parts.concat().as_bytes()))
    }

    /// Whether what an element's sources are is said by its refs alone: each has a url, so that none is local. Elements
    /// behind a junction of which that is not known may change with any file of the checkout.
    pub(crate) fn is_from_elsewhere(&self, element: &ElementName) -> bool {
        let path = self.element_file(element);
        path.and_then(|path| read_file(&self.root, &path).ok()).is_some_and(|text| have_urls(&text))
    }

    /// A source's url with its alias resolved, where the project's own configuration says what it stands for.
    pub(crate) fn resolved(&self, url: &str) -> String {
        let Some((alias, rest)) = url.split_once(':').filter(|(_, rest)| !rest.starts_with("//")) else {
            return url.to_owned();
        };
        let address = self.aliases().get(alias);
        address.map_or_else(|| url.to_owned(), |address| format!("{address}{rest}"))
    }

    /// Whether aliases are what the files say, whatever the options and junctions are.
    pub(crate) fn has_plain_aliases(&self) -> bool {
        let Some(conf) = &self.conf else { return false };
        let nodes = [self.included(conf), vec![conf.clone()]].concat();
        let depends = |node: &YamlNode| {
            let own = node.get("aliases");
            let included = own.map(|own| self.included(own)).unwrap_or_default();
            let foreign = |node: &YamlNode| node.strings("(@)").iter().any(|name| name.contains(':'));
            node.get("(?)").is_some_and(|cases| names(cases, "aliases"))
                || foreign(node)
                || own.iter().copied().chain(&included).any(|own| foreign(own) || names(own, "(?)"))
        };
        !nodes.iter().any(depends)
    }

    /// `aliases` of `project.conf`, and of what that includes at its top or there.
    fn read_aliases(&self) -> BTreeMap<String, String> {
        let mut aliases = BTreeMap::new();
        let Some(conf) = &self.conf else { return aliases };
        let mut add = |node: &YamlNode| {
            let words = node.pairs().iter().filter_map(|(alias, to)| Some((alias.clone(), to.scalar()?.to_owned())));
            aliases.extend(words);
        };
        for file in self.included(conf).iter().chain([conf]) {
            if let Some(node) = file.get("aliases") {
                self.included(node).iter().for_each(&mut add);
                add(node);
            }
        }
        aliases
    }

    /// What a node includes at its top, as far as that is the project's own.
    fn included(&self, node: &YamlNode) -> Vec<YamlNode> {
        let files = node.strings("(@)").into_iter().filter_map(|name| normal(Path::new(name)));
        files.filter_map(|file| YamlNode::parse(&read_file(&self.root, &file).ok()?)).collect()
    }

    /// Adds what shapes one element; of an element of another project, which its junction brings, its refs alone.
    fn add_inputs(&self, element: &ElementName, parts: &mut Vec<String>) -> Option<()> {
        for stored in &self.stored {
            // By the project's name, which a junction's element does not say: any project's element of that name.
            let short = element.as_str().rsplit(':').next().unwrap_or_default();
            let refs = stored.iter().filter(|((_, name), _)| name == short);
            parts.extend(refs.map(|(key, refs)| format!("{key:?} {refs:?}")));
        }
        if element.junctions().next().is_some() {
            return Some(());
        }
        let mut files = BTreeSet::new();
        self.add_includes(&self.element_file(element)?, &mut files)?;
        for file in &files {
            parts.push(self.file(file)?.digest.clone());
        }
        Some(())
    }

    /// What shapes every element: `project.conf` with its includes, and the project's own plugins.
    fn common(&self) -> Option<String> {
        let mut files = BTreeSet::new();
        self.add_includes(Path::new("project.conf"), &mut files)?;
        let mut parts = Vec::new();
        for file in &files {
            parts.push(self.file(file)?.digest.clone());
        }
        for origin in self.conf.as_ref()?.get("plugins").map(YamlNode::items).unwrap_or_default() {
            match origin.get("origin").and_then(YamlNode::scalar) {
                Some("local") => {
                    let path = normal(Path::new(origin.get("path").and_then(YamlNode::scalar)?))?;
                    let top = self.root.join(&path);
                    for file in files_below(&top, &|name| name != "__pycache__").ok()? {
                        parts.push(self.file(&path.join(file))?.digest.clone());
                    }
                }
                Some("junction") => {
                    let junction = origin.get("junction").and_then(YamlNode::scalar)?.parse().ok()?;
                    self.add_inputs(&junction, &mut parts)?;
                }
                _ => {}
            }
        }
        Some(digest(parts.concat().as_bytes()))
    }

    /// The file of an element of the project itself, relative to the project's directory.
    fn element_file(&self, element: &ElementName) -> Option<PathBuf> {
        (!element.as_str().contains(':')).then(|| normal(&self.element_path.join(element.as_str())))?
    }

    /// Adds a file and all that it includes; none where one of them cannot be read, or they are too many. What lies in
    /// a junction is shaped by the junction's element, which is added instead.
    fn add_includes(&self, file: &Path, files: &mut BTreeSet<PathBuf>) -> Option<()> {
        if !files.insert(file.to_owned()) {
            return Some(());
        }
        if files.len() > MOST_INCLUDES {
            return None;
        }
        let mut whole = Some(());
        for include in &self.file(file)?.includes {
            let path = match include.split_once(':') {
                Some((junction, _)) => self.element_file(&junction.parse().ok()?),
                None => normal(Path::new(include)),
            };
            if path.and_then(|path| self.add_includes(&path, files)).is_none() {
                whole = None;
            }
        }
        whole
    }

    fn file(&self, path: &Path) -> Option<Rc<ProjectFile>> {
        if let Some(known) = self.read.borrow().get(path) {
            return known.clone();
        }
        let file = self.reader.read(path).ok().and_then(|text| {
            let is_yaml =
                path.extension().is_some_and(|end| end == "bst" || end == "yml" || end == "yaml" || end == "conf");
            let (mut includes, mut node) = (Vec::new(), None);
            if is_yaml || text.contains("(@)") {
                let parsed = YamlNode::parse(&text)?;
                collect_includes(&parsed, &mut includes);
                node = Some(Rc::new(parsed));
            }
            Some(Rc::new(ProjectFile { digest: digest(text.as_bytes()), node, includes }))
        });
        self.read.borrow_mut().insert(path.to_owned(), file.clone());
        file
    }
}

fn is_element(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "bst")
}

/// Whether a node has a key somewhere.
fn names(node: &YamlNode, wanted: &str) -> bool {
    node.pairs().iter().any(|(key, value)| key == wanted || names(value, wanted))
        || node.items().iter().any(|item| names(item, wanted))
}

/// The values of every `(@)`.
fn collect_includes(node: &YamlNode, includes: &mut Vec<String>) {
    for (key, value) in node.pairs() {
        if key == "(@)" {
            includes.extend(node.strings(key).into_iter().map(str::to_owned));
        } else {
            collect_includes(value, includes);
        }
    }
    for item in node.items() {
        collect_includes(item, includes);
    }
}

/// A relative path without `.` and `..`; none where it leads out of its directory.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => normal.push(part),
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// The regular files below a directory, relative to it and sorted; links are not followed.
fn files_below(top: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![(PathBuf::new(), 0)];
    while let Some((directory, depth)) = open.pop() {
        for entry in fs::read_dir(top.join(&directory))? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            if !wanted(&name.to_string_lossy()) {
                continue;
            }
            if kind.is_dir() && depth < DEEPEST {
                open.push((directory.join(&name), depth + 1));
            } else if kind.is_file() {
                files.push(directory.join(&name));
            }
            if files.len() + open.len() > MOST_FILES {
                return Err(io::Error::other(format!("there are more than {MOST_FILES} files")));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write(
                "project.conf",
                "name: p\nelement-path: elements\n(@): include/conf.yml\nplugins:\n- origin: local\n  path: plugins\n",
            );
            tree.write("include/conf.yml", "aliases: {}\n");
            tree.write("plugins/x.py", "x = 1\n");
            tree.write("elements/a.bst", "kind: import\n(@): include/a.yml\n");
            tree.write("include/a.yml", "(?):\n- x: {(@): [include/deep.yml]}\nsources: [{kind: tar, ref: 1}]\n");
            tree.write("include/deep.yml", "variables: {}\n");
            tree.write("elements/sub/b.bst", "kind: import\nsources: [{kind: tar, ref: 1}]\n");
            tree.write("elements/j.bst", "kind: junction\nsources: [{kind: git, ref: 1}]\n");
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn inputs(&self, element: &str) -> Option<String> {
            ProjectFiles::new(self.0.path()).source_inputs(&element.parse().unwrap())
        }
    }

    #[test]
    fn everything_that_shapes_an_element_is_in_its_inputs_and_nothing_else() {
        let elements = ["a.bst", "sub/b.bst", "j.bst", "j.bst:x.bst"];
        for (file, changed) in [
            ("elements/a.bst", &["a.bst"][..]),
            ("include/a.yml", &["a.bst"]),
            ("include/deep.yml", &["a.bst"]),
            ("elements/sub/b.bst", &["sub/b.bst"]),
            ("elements/j.bst", &["j.bst", "j.bst:x.bst"]),
            ("project.conf", &elements),
            ("include/conf.yml", &elements),
            ("plugins/x.py", &elements),
            ("files/other", &[]),
        ] {
            let tree = Tree::new();
            let before = elements.map(|element| tree.inputs(element).unwrap());
            let old = fs::read_to_string(tree.0.path().join(file)).unwrap_or_default();
            tree.write(file, &format!("{old}# more\n"));
            let after = elements.map(|element| tree.inputs(element).unwrap());
            let differ: Vec<_> = elements.iter().zip(before.iter().zip(&after)).filter(|(_, (a, b))| a != b).collect();
            let differ: Vec<_> = differ.into_iter().map(|(element, _)| *element).collect();
            assert_eq!(differ, changed, "{file}");
        }
    }

    #[test]
    fn stored_refs_are_inputs_of_their_elements() {
        let tree = Tree::new();
        let before = ["a.bst", "sub/b.bst"].map(|element| tree.inputs(element).unwrap());
        tree.write("project.refs", "projects:\n  p:\n    sub/b.bst:\n    - ref: new\n");
        assert_eq!(tree.inputs("a.bst").unwrap(), before[0]);
        assert_ne!(tree.inputs("sub/b.bst").unwrap(), before[1]);
    }

    #[test]
    fn what_cannot_be_read_gives_nothing_to_rely_on() {
        let tree = Tree::new();
        std::os::unix::fs::symlink("/etc/passwd", tree.0.path().join("elements/link.bst")).unwrap();
        tree.write("elements/up.bst", "(@): ../../../etc/passwd\n");
        tree.write("elements/gone.bst", "(@): include/none.yml\n");
        tree.write("elements/bad.bst", "kind: [\n");
        tree.write("elements/circle.bst", "(@): include/circle.yml\n");
        tree.write("include/circle.yml", "(@): include/circle.yml\n");
        let fifo = tree.0.path().join("elements/fifo.bst");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for element in ["fifo.bst", "link.bst", "up.bst", "gone.bst", "bad.bst", "none.bst", "../x.bst"] {
            assert_eq!(tree.inputs(element), None, "{element}");
        }
        assert!(tree.inputs("circle.bst").is_some());
    }

    #[test]
    fn elements_and_those_that_include_a_file_are_found() {
        let tree = Tree::new();
        let files = ProjectFiles::new(tree.0.path());
        let names = |elements: Vec<ElementName>| elements.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(files.elements().unwrap()), ["a.bst", "j.bst", "sub/b.bst"]);
        assert_eq!(names(files.elements_that_include(Path::new("include/deep.yml")).unwrap()), ["a.bst"]);
        assert_eq!(files.element_of(Path::new("elements/sub/b.bst")).unwrap().as_str(), "sub/b.bst");
        assert_eq!(files.element_of(Path::new("include/a.yml")), None);
        assert_eq!(files.name(), "p");
    }
}
