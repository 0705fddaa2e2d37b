//! A package `buildstream` whose program is something else.

use std::path::Path;
use std::process::Command;

const MAKE: &str = r#"
import sys, zipfile
place, version, main = sys.argv[1:]
info = f"buildstream-{version}.dist-info/"
files = {
    "standin.py": f"import os, sys\ndef main(): {main}\n",
    info + "METADATA": f"Metadata-Version: 2.1\nName: buildstream\nVersion: {version}\n",
    info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    info + "entry_points.txt": "[console_scripts]\nbst = standin:main\n",
}
files[info + "RECORD"] = "".join(f"{name},,\n" for name in [*files, info + "RECORD"])
with zipfile.ZipFile(f"{place}/buildstream-{version}-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
"#;

/// Writes a wheel of a version into a directory; `main` is the Python statement that its `bst` is.
pub fn wheel(directory: &Path, version: &str, main: &str) {
    let made = Command::new("python3").args(["-c", MAKE]).arg(directory).args([version, main]).status();
    assert!(made.expect("python3").success());
}

const MAKE_SDIST: &str = r#"
import io, sys, tarfile
place, version, main = sys.argv[1:]
top = f"buildstream-{version}/"
backend = f'''import zipfile
def build_wheel(place, config_settings=None, metadata_directory=None):
    name, info = "buildstream-{version}-py3-none-any.whl", "buildstream-{version}.dist-info/"
    files = {{
        "standin.py": "import os, sys\\ndef main(): " + {main!r} + "\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: buildstream\\nVersion: {version}\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nbst = standin:main\\n",
    }}
    files[info + "RECORD"] = "".join(f"{{name}},,\\n" for name in [*files, info + "RECORD"])
    with zipfile.ZipFile(place + "/" + name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
'''
files = {
    top + "PKG-INFO": f"Metadata-Version: 2.1\nName: buildstream\nVersion: {version}\n",
    top + "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    top + "backend.py": backend,
}
with tarfile.open(f"{place}/buildstream-{version}.tar.gz", "w:gz") as sdist:
    for name, text in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(text.encode())
        sdist.addfile(info, io.BytesIO(text.encode()))
"#;

/// Writes the same as an sdist, which pip has to build before it installs it. Building takes nothing but Python.
pub fn sdist(directory: &Path, version: &str, main: &str) {
    let made = Command::new("python3").args(["-c", MAKE_SDIST]).arg(directory).args([version, main]).status();
    assert!(made.expect("python3").success());
}
