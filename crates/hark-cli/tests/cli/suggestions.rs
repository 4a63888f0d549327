//! Commands that messages suggest: they work where they are printed.

use crate::harness::Folder;

/// A project in the folder `shop`, whose settings have an unusual name.
fn folder(name: &str, settings: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("shop/other.toml", format!("[project]\nhark_file = 'x.hk'\n{settings}"));
    folder.write("shop/x.hk", "fn main() { 7 }\n");
    folder
}

/// The commands in a message, each of which is between backticks.
fn commands(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| quoted.contains("hark ")).collect()
}

#[track_caller]
fn suggests(folder: &Folder, line: &str, expected: &[&str]) {
    let run = folder.hark(line);
    assert_ne!(run.status, 0, "{run:?}");
    let said = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(commands(&said), expected, "{run:?}");
}

const PLACE: &str = "--config shop/other.toml --data-dir kept";

#[test]
fn a_session_that_a_message_suggests_is_found_by_the_command_that_lacked_one() {
    let folder = folder("suggested_session", "");
    let start = format!("hark run -s sqlite FILE {PLACE}");
    suggests(&folder, &format!("show {PLACE}"), &[&start]);
    folder.hark(&start.replace("hark ", "").replace("FILE", "shop/x.hk")).succeeds();
    folder.hark(&format!("show {PLACE}")).succeeds();
}

#[test]
fn commands_on_sessions_keep_their_place() {
    let folder = folder("suggested_place", "");
    let fault = format!("hark storage init {PLACE}");
    suggests(&folder, &format!("storage check {PLACE}"), &[&fault]);
    let run = format!("hark run -s sqlite FILE {PLACE}");
    suggests(&folder, &format!("run shop/x.hk --key a {PLACE}"), &[&run]);
    let detached = format!("hark run -s sqlite --detach FILE {PLACE}");
    suggests(&folder, &format!("run shop/x.hk --detach {PLACE}"), &[&detached]);
    // Standard output is a pipe here, and a device there.
    let export = folder
        .command(format!("export a.b {PLACE}").split(' '))
        .stdout(std::fs::File::create("/dev/null").unwrap())
        .output();
    let told = String::from_utf8(export.unwrap().stderr).unwrap();
    assert_eq!(commands(&told), [format!("hark export a.b {PLACE} > FILE")], "{told}");
}

#[test]
fn commands_on_the_project_keep_its_settings() {
    let folder = folder("suggested_settings", "python_requirements = 'needs.txt'\n");
    folder.write("shop/needs.txt", "nowhere\n");
    folder.write("shop/y.hk", "import(f, nowhere, 0);\nfn main() { f() }\n");
    let checked = folder.hark("check shop/y.hk --config shop/other.toml");
    assert!(checked.stderr.contains("`hark sync --config shop/other.toml` installs it"), "{checked:?}");
    folder.write_script("shop/.venv/bin/python", "#!/bin/sh\necho 3.7.9\n");
    suggests(&folder, "sync --config shop/other.toml", &["hark sync --clear --config shop/other.toml"]);
}

#[cfg(feature = "lambda")]
#[test]
fn commands_on_an_instance_keep_its_name_and_settings() {
    let folder = folder("suggested_instance", "");
    let config = "--config shop/other.toml";
    let deploy = format!("hark deploy {config}");
    for line in ["invoke", "info", "logs", "destroy", "sessions --deployed"] {
        suggests(&folder, &format!("{line} {config}"), &[&deploy]);
    }
    suggests(&folder, &format!("storage init --uuid shop {config}"), &[&format!("hark deploy {config} --uuid shop")]);
    suggests(&folder, &format!("run shop/x.hk -s lambda {config}"), &[&format!("hark invoke {config}")]);
    folder.write("shop/other.toml", "[project]\nhark_file = 'x.hk'\nstorage = 'lambda'\n");
    suggests(&folder, &format!("run shop/x.hk {config}"), &[&format!("hark invoke {config}")]);
}
