//! `hark deploy --dry-run`: what a project's instance on AWS Lambda would be.

use std::fs::File;

use serde_json::Value;

use crate::harness::{Folder, Run};

/// A project with these settings and this program.
fn project(name: &str, settings: &str, program: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("hark.toml", settings);
    folder.write("service.hk", program);
    // What programs here import.
    folder.write("m.py", "def f(*all): pass\n\n\non_upload = f\n");
    folder
}

fn deploy(folder: &Folder) -> Run {
    folder.hark("deploy --dry-run -q --uuid shop")
}

fn template(folder: &Folder) -> Value {
    let ran = deploy(folder);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The files of the package, with their sizes.
fn packaged(folder: &Folder) -> Vec<String> {
    let file = File::open(folder.path().join(".hark/deploy/package.zip")).unwrap();
    zip::ZipArchive::new(file).unwrap().file_names().map(|name| name.unwrap().into_owned()).collect()
}

#[test]
fn the_template_follows_the_settings_and_the_program() {
    let settings = "[instance]\nlambda_memory = 1024\nlambda_timeout = 100\nlog_days = 7\n";
    let folder = project("deploy_settings", settings, "#[memory(2048)] import(f, m, 1);\nfn main() { f(1) }\n");
    folder.write("hark_env.txt", "STAGE=test\n");
    let resources = &template(&folder)["Resources"];
    let main = &resources["MainFunction"]["Properties"];
    assert_eq!((&main["MemorySize"], &main["Timeout"]), (&Value::from(1024), &Value::from(100)));
    assert_eq!(main["Environment"]["Variables"]["STAGE"], "test");
    assert_eq!(main["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"], "/var/task/bootstrap");
    assert_eq!(resources["SizedM2048T100Function"]["Properties"]["FunctionName"], "hark-shop-m2048-t100");
    assert_eq!(resources["MainLogs"]["Properties"]["RetentionInDays"], 7);
}

#[test]
fn a_pool_chooses_no_function() {
    let program = "#[pool(\"gpu\")] #[memory(2048)] import(f, m, 1);\nfn main() { f(1) }\n";
    for settings in ["", "[sessions]\ntenure = \"threads\"\n", "[project]\nstorage = \"lambda\"\n"] {
        let folder = project("deploy_pool", settings, program);
        let ran = deploy(&folder);
        let told = "warning[HK0039]: the attribute `pool` has no effect in AWS Lambda functions\n";
        assert!(ran.status == 0 && ran.stderr.starts_with(told), "{settings}: {ran:?}");
        assert!(!ran.stderr.contains("`memory` has no effect"), "{ran:?}");
    }
    let checked = project("check_pool", "[project]\nstorage = \"lambda\"\n", program).hark("check service.hk");
    assert!(checked.stderr.contains("AWS Lambda functions") && checked.stderr.contains("1 warning"), "{checked:?}");
}

#[test]
fn a_package_has_the_program_and_the_projects_modules() {
    let folder = project(
        "deploy_package",
        "[project]\ndata_dir = 'data'\n",
        "import \"lib/more.hk\";\nimport(three, bare.mod, 0);\nfn main() { more.f() + three() }\n",
    );
    folder.write("lib/more.hk", "fn f() { 1 }\n");
    folder.write("unused.hk", "fn g() { 1 }\n");
    folder.write("src/steps/__init__.py", "");
    folder.write("src/steps/__pycache__/x.pyc", "");
    folder.write("beside.py", "");
    folder.write("pkg/__init__.py", "");
    folder.write("bare/mod.py", "def three(): return 3\n");
    folder.write("unimported/mod.py", "");
    folder.write("notes/private.txt", "");
    folder.write(".secret.py", "");
    template(&folder);
    let file = File::open(folder.path().join("data/deploy/package.zip")).unwrap();
    let names: Vec<String> =
        zip::ZipArchive::new(file).unwrap().file_names().map(|name| name.unwrap().into_owned()).collect();
    let wanted = [
        "bare/mod.py",
        "beside.py",
        "bootstrap",
        "hark.toml",
        "lib/more.hk",
        "m.py",
        "pkg/__init__.py",
        "service.hk",
        "src/steps/__init__.py",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn a_project_can_make_its_modules_itself() {
    let settings = "[project]\npackage = 'made'\nbuild_cmd = 'mkdir -p made && echo 1 > made/m.py'\n";
    let folder = project("deploy_build", settings, "fn main() { 1 }\n");
    folder.write("src/not_taken.py", "");
    template(&folder);
    assert_eq!(packaged(&folder), ["bootstrap", "hark.toml", "packages/m.py", "service.hk"]);
    folder.write("hark.toml", "[project]\npackage = 'other'\nbuild_cmd = 'true'\n");
    deploy(&folder).is(
        2,
        "",
        "error: `package` in hark.toml: there is no `other`\nhint: `build_cmd` did not create it\n",
    );
    folder.write("hark.toml", "[project]\npackage = 'made'\nbuild_cmd = 'exit 3'\n");
    deploy(&folder).is(1, "", "error: `build_cmd` in hark.toml failed: `exit 3`\n");
}

#[test]
fn a_trigger_may_call_an_import() {
    let settings = "[instance]\nmanaged_buckets = ['bbb']\nupload_triggers = [['bbb', '', '']]\n";
    let folder = project("deploy_import", settings, "import(on_upload, m, 2);\nfn main() { 1 }\n");
    template(&folder);
    folder.write("service.hk", "#[retry(attempts: 3)] import(on_upload, m, 2);\nfn main() { 1 }\n");
    template(&folder);
}

#[test]
fn a_bundled_python_is_in_the_package_without_what_only_people_need() {
    let settings = "[instance]\nruntime = 'bundled'\nbundled_python = 'py'\npython_version = '3.12'\n";
    let folder = project("deploy_bundled", settings, "fn main() { 1 }\n");
    let files = [
        "bin/python3",
        "bin/python3.12",
        "bin/pip",
        "include/Python.h",
        "lib/python3.12/os.py",
        "lib/python3.12/test/x.py",
    ];
    files.iter().for_each(|file| folder.write(&format!("py/{file}"), ""));
    assert_eq!(template(&folder)["Resources"]["MainFunction"]["Properties"]["Runtime"], "provided.al2023");
    let wanted = ["bootstrap", "hark.toml", "m.py", "python/bin/python3", "python/lib/python3.12/os.py", "service.hk"];
    assert_eq!(packaged(&folder), wanted);
    // As `uv` puts it into a folder.
    let above = "[instance]\nruntime = 'bundled'\nbundled_python = '.'\npython_version = '3.12'\n";
    folder.write("hark.toml", above);
    template(&folder);
    assert_eq!(packaged(&folder), wanted);
    folder.write("hark.toml", "[instance]\nruntime = 'bundled'\nbundled_python = 'py'\n");
    deploy(&folder).is(
        2,
        "",
        "error: `bundled_python` in hark.toml is Python 3.12, and `python_version` is 3.13, for which packages are installed\nhint: set \
         `python_version = \"3.12\"`, or bundle another Python\n",
    );
}

#[test]
fn what_does_not_fit_together_is_said_before_anything_is_made() {
    let program = "fn on_upload(key) { 1 }\nfn main() { 1 }\n";
    let folder = project("deploy_mistakes", "", program);
    let says = |settings: &str, wanted: &str| {
        folder.write("hark.toml", settings);
        deploy(&folder).is(2, "", wanted);
    };
    says(
        "[instance]\nenable_api = true\n",
        "error: the program has no function `on_http`\nhint: `enable_api` calls it with a method, a path and an event; change \
         the program, or hark.toml\n",
    );
    says(
        "[instance]\nmanaged_buckets = ['bbb']\nupload_triggers = [['bbb', '', '']]\n",
        "error: `on_upload` must take 2 arguments, but takes 1\nhint: `upload_triggers` call it with a bucket and a key\n",
    );
    says(
        "[instance]\nupload_triggers = [['bbb', '', '']]\n",
        "error: `upload_triggers` names the bucket `bbb`, which is not managed\nhint: add it to `managed_buckets`: `hark deploy` \
         must be able to change its notifications\n",
    );
    says(
        "[instance]\nschedules = [['rate(1 hour)', 'hourly']]\n",
        "error: the program has no function `hourly`\nhint: `schedules` call it without arguments; change the program, or \
         hark.toml\n",
    );
    says(
        "[instance]\npolicy_file = 'p.json'\n",
        "error: `policy_file` in hark.toml: `p.json` cannot be read: No such file or directory (os error 2)\nhint: it must be an \
         IAM policy, such as {\"Version\": \"2012-10-17\", \"Statement\": [...]}\n",
    );
    says(
        "[instance]\nruntime = 'bundled'\nbundled_python = 'nope'\n",
        "error: `bundled_python` in hark.toml: there is no `nope/bin/python3`\nhint: set `bundled_python` to a folder with \
         `bin/python3`; `uv python install --install-dir FOLDER` makes one\n",
    );
    says(
        "[instance]\nruntime = 'bundled'\n",
        "error: `runtime = \"bundled\"` in hark.toml needs a Python to put into the package\nhint: set `bundled_python` to a \
         folder with `bin/python3`; `uv python install --install-dir FOLDER` makes one\n",
    );
    folder.write("hark.toml", "");
    folder.hark("deploy --dry-run --uuid Shop").is(
        2,
        "",
        "error: `Shop` cannot be the name of an instance: a name has lowercase letters, digits and single `-` between them, at most 40\n",
    );
    folder.write("service.hk", "#[memory(20000)] import(f, m, 1);\nfn main() { f(1) }\n");
    deploy(&folder).is(
        2,
        "",
        "error: `f` needs 20000 MB of memory, and an AWS Lambda function has 10240 MB at most; change its `#[memory]`\n",
    );
}

#[test]
fn a_deployment_warns_of_imports_as_a_check_does() {
    let folder = project("deploy_warns", "", "import(f, missing, 1);\nfn main() { f(1) }\n");
    let ran = deploy(&folder);
    assert!(ran.status == 0 && ran.stderr.starts_with("warning[HK0027]"), "{ran:?}");
}

#[test]
fn a_folder_without_a_program_is_no_instance() {
    let folder = Folder::new("deploy_nothing");
    let ran = deploy(&folder);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.starts_with("error: there is no `service.hk` in "), "{ran:?}");
    assert!(ran.stderr.contains("`hark init` creates a new project"), "{ran:?}");
}

#[test]
fn the_largest_files_of_a_package_that_is_too_large_are_named() {
    let folder = project("deploy_large", "", "fn main() { 1 }\n");
    folder.write("src/big.bin", "");
    let big = File::options().write(true).open(folder.path().join("src/big.bin")).unwrap();
    big.set_len(300_000_000).unwrap();
    let ran = deploy(&folder);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("AWS Lambda allows 262 MB; the largest are `src/big.bin` 300 MB, `bootstrap` "),
        "{ran:?}"
    );
}

#[test]
fn modules_may_be_in_the_projects_own_folder_but_not_outside() {
    let folder = project("deploy_dot", "[project]\npython_src = '.'\n", "import(f, m, 1);\nfn main() { f(1) }\n");
    for private in [".git/config", "hark_env.txt", "node_modules/x.py", "env/pyvenv.cfg", ".hark/old"] {
        folder.write(private, "A=1\n");
    }
    folder.write("deep/er/module.py", "");
    std::os::unix::fs::symlink("/", folder.path().join("deep/everything")).unwrap();
    for _ in 0..2 {
        template(&folder);
        assert_eq!(packaged(&folder), ["bootstrap", "deep/er/module.py", "hark.toml", "m.py", "service.hk"]);
    }
    folder.write("hark.toml", "[project]\npython_src = '../lib'\n");
    deploy(&folder).is(
        2,
        "",
        "error: `python_src` in hark.toml: `../lib` is not in the project's folder\nhint: only files of the project are deployed: \
         move hark.toml to a folder that has all of them\n",
    );
}
