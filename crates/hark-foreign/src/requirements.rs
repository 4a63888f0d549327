//! Finds the package of a requirements file that contains a module. The names of packages and of their modules often
//! differ.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The maximum number of files that include each other.
const FILES_MAX: usize = 100;

/// Packages whose modules have another name: the module, then the packages. A trailing `*` matches any suffix.
const RENAMED: &[(&str, &[&str])] = &[
    ("attr", &["attrs"]),
    ("azure", &["azure-*"]),
    ("bs4", &["beautifulsoup4"]),
    ("cairo", &["pycairo"]),
    ("Crypto", &["pycryptodome", "pycrypto"]),
    ("Cryptodome", &["pycryptodomex"]),
    ("cv2", &["opencv-*"]),
    ("dateutil", &["python-dateutil"]),
    ("discord", &["discord-py", "py-cord"]),
    ("docx", &["python-docx"]),
    ("dotenv", &["python-dotenv"]),
    ("faiss", &["faiss-*"]),
    ("fitz", &["pymupdf"]),
    ("git", &["gitpython"]),
    ("gi", &["pygobject"]),
    ("google", &["google-*", "protobuf"]),
    ("googleapiclient", &["google-api-python-client"]),
    ("grpc", &["grpcio"]),
    ("github", &["pygithub"]),
    ("jose", &["python-jose"]),
    ("jwt", &["pyjwt"]),
    ("kafka", &["kafka-python*"]),
    ("ldap", &["python-ldap"]),
    ("magic", &["python-magic*"]),
    ("mpl_toolkits", &["matplotlib"]),
    ("multipart", &["python-multipart"]),
    ("MySQLdb", &["mysqlclient"]),
    ("nacl", &["pynacl"]),
    ("OpenGL", &["pyopengl"]),
    ("OpenSSL", &["pyopenssl"]),
    ("PIL", &["pillow*"]),
    ("pkg_resources", &["setuptools"]),
    ("pptx", &["python-pptx"]),
    ("psycopg", &["psycopg-*"]),
    ("psycopg2", &["psycopg2-binary"]),
    ("pylab", &["matplotlib"]),
    ("pythoncom", &["pywin32"]),
    ("rest_framework", &["djangorestframework"]),
    ("serial", &["pyserial"]),
    ("skimage", &["scikit-image"]),
    ("sklearn", &["scikit-learn"]),
    ("slugify", &["python-slugify"]),
    ("socks", &["pysocks"]),
    ("tabula", &["tabula-py"]),
    ("telegram", &["python-telegram-bot"]),
    ("usb", &["pyusb"]),
    ("websocket", &["websocket-client"]),
    ("wx", &["wxpython"]),
    ("yaml", &["pyyaml", "ruamel-yaml-clib"]),
    ("zmq", &["pyzmq"]),
];

/// The package of this module that the file, or a file that it includes, lists, as written there. A file that cannot be
/// read counts as empty.
pub fn package_of(module: &str, file: &Path) -> Option<String> {
    let packages = packages(file);
    let top = module.split('.').next().unwrap_or(module);
    let renamed = RENAMED.iter().find(|(name, _)| *name == top).map_or(&[][..], |(_, packages)| packages);
    // `google.cloud.storage` belongs to `google-cloud-storage` rather than to `google-auth`.
    let prefixes = module.match_indices('.').map(|(at, _)| at).chain([module.len()]).rev();
    let whole = prefixes.map(|end| normalized(&module[..end]));
    let named = normalized(top);
    let derived = [format!("python-{named}"), format!("py{named}"), format!("py-{named}"), format!("{named}-python")];
    let wanted = whole.chain(renamed.iter().map(|name| (*name).to_owned())).chain(derived);
    for wanted in wanted {
        let is_it = |package: &&String| match wanted.strip_suffix('*') {
            Some(beginning) => normalized(package).starts_with(beginning),
            None => normalized(package) == wanted,
        };
        if let Some(package) = packages.iter().find(is_it) {
            return Some(package.clone());
        }
    }
    None
}

/// The names of all listed packages.
fn packages(file: &Path) -> Vec<String> {
    let mut packages = Vec::new();
    let (mut open, mut seen) = (vec![file.to_path_buf()], HashSet::new());
    while let Some(file) = open.pop() {
        if seen.len() >= FILES_MAX || !seen.insert(file.clone()) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.replace("\\\n", "").lines() {
            match entry(line) {
                Entry::Package(name) => packages.push(name.to_owned()),
                Entry::Include(other) => open.push(beside(&file, other)),
                Entry::Other => {}
            }
        }
    }
    packages
}

enum Entry<'a> {
    Package(&'a str),
    Include(&'a str),
    Other,
}

/// Parses a line. For a path or URL, the package's name is guessed from its end.
fn entry(line: &str) -> Entry<'_> {
    let line = match line.find(" #").or(line.starts_with('#').then_some(0)) {
        Some(comment) => &line[..comment],
        None => line,
    };
    let line = line.trim();
    for option in ["-r", "--requirement"] {
        if let Some(file) = line.strip_prefix(option).filter(|rest| rest.starts_with([' ', '=']) || option == "-r") {
            return Entry::Include(file.trim_matches([' ', '=']));
        }
    }
    let line = ["-e ", "--editable "].iter().find_map(|option| line.strip_prefix(option)).unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('-') {
        return Entry::Other;
    }
    if let Some((_, egg)) = line.split_once("#egg=") {
        return Entry::Package(name_at_start(egg));
    }
    let (before_address, _) = line.split_once('@').unwrap_or((line, ""));
    if before_address.contains('/') || line.ends_with(".whl") {
        let last = line.trim_end_matches('/').rsplit('/').next().unwrap_or(line);
        let end = if last.ends_with(".whl") { last.find('-') } else { last.find(".git") };
        return Entry::Package(name_at_start(&last[..end.unwrap_or(last.len())]));
    }
    Entry::Package(name_at_start(line))
}

fn name_at_start(text: &str) -> &str {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let end = text.find(|character| !is_part(character)).unwrap_or(text.len());
    &text[..end]
}

fn beside(file: &Path, other: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(other)
}

/// The normalized form of package names, for comparison (PEP 503).
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("hark-requirements-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
        folder
    }

    #[test]
    fn modules_are_found_under_the_names_of_their_packages() {
        let listed = "# Pictures\nPillow==10.1 # of all kinds\nPyYAML >= 6 ; python_version > '3'\nscikit_learn\n\
            google-auth\ngoogle-cloud-storage[extra]~=2.0\npsycopg2-binary\nopencv-python-headless\n\
            python-dateutil<3\nRequests\n--index-url https://example.com/simple\n-e git+https://example.com/x/tool.git#egg=My.Tool\n\
            ./wheels/local_thing-1.0-py3-none-any.whl\ndirect @ https://example.com/direct-1.zip\n./vendored/thing/\n\
            hash==1 \\\n  --hash=sha256:00\n";
        let folder = folder("packages", &[("requirements.txt", listed)]);
        let file = folder.join("requirements.txt");
        let of = |module: &str| package_of(module, &file);
        for (module, package) in [
            ("PIL.Image", "Pillow"),
            ("yaml", "PyYAML"),
            ("sklearn.svm", "scikit_learn"),
            ("google.cloud.storage", "google-cloud-storage"),
            ("google", "google-auth"),
            ("psycopg2", "psycopg2-binary"),
            ("cv2", "opencv-python-headless"),
            ("dateutil.parser", "python-dateutil"),
            ("requests", "Requests"),
            ("my_tool", "My.Tool"),
            ("local_thing", "local_thing"),
            ("direct", "direct"),
            ("thing", "thing"),
            ("hash", "hash"),
        ] {
            assert_eq!(of(module).as_deref(), Some(package), "{module}");
        }
        for module in ["numpy", "of", "index", "sha256", "re", "git", "x"] {
            assert_eq!(of(module), None, "{module}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_may_include_each_other() {
        let files = [("a.txt", "-r b.txt\none\n"), ("b.txt", "--requirement=a.txt\n-rc.txt\ntwo"), ("c.txt", "three")];
        let folder = folder("files", &files);
        let of = |module: &str| package_of(module, &folder.join("a.txt"));
        assert_eq!([of("one"), of("two"), of("three")].map(Option::unwrap), ["one", "two", "three"]);
        assert_eq!((of("four"), package_of("one", &folder.join("no.txt"))), (None, None));
        fs::remove_dir_all(folder).unwrap();
    }
}
