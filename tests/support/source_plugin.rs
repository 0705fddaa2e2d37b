//! Plugins of sources that fetch nothing, and do in `configure` what a test is about.

/// What every plugin of sources has to have; a class may have its own of each.
const METHODS: &str = r#"
    BST_MIN_VERSION = "2.0"

    def preflight(self):
        pass

    def get_unique_key(self):
        return 1

    def load_ref(self, node):
        pass

    def get_ref(self):
        return None

    def set_ref(self, ref, node):
        pass

    def fetch(self):
        pass

    def stage(self, directory):
        pass

    def is_resolved(self):
        return True

    def is_cached(self):
        return True
"#;

/// The plugin's file: what comes before the class, and the class's own methods, indented.
pub fn source_plugin(head: &str, methods: &str) -> String {
    format!(
        "from buildstream import Source\n{head}\nclass TestSource(Source):{METHODS}\n{methods}\n\ndef setup():\n    return TestSource\n"
    )
}
