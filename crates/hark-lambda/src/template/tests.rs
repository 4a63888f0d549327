use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::settings::{Schedule, UploadTrigger};

fn code(hash: &str) -> Code {
    Code {
        key: format!("{hash}.zip"),
        hash: hash.to_owned(),
        runtime: Runtime::Managed("python3.13".to_owned()),
        architecture: Architecture::Arm64,
    }
}

/// An instance with every setting.
fn full() -> Deployment {
    let settings = InstanceSettings {
        environment: BTreeMap::from([("STAGE".to_owned(), "test".to_owned())]),
        s3_access: vec!["other".to_owned()],
        managed_buckets: vec!["up-loads".to_owned(), "uploads".to_owned(), "old".to_owned()],
        upload_triggers: vec![UploadTrigger {
            bucket: "uploads".to_owned(),
            prefix: "in/".to_owned(),
            suffix: ".csv".to_owned(),
        }],
        enable_api: true,
        schedules: vec![Schedule { expression: "rate(1 hour)".to_owned(), function: "hourly".to_owned() }],
        ..InstanceSettings::default()
    };
    let main = Size::main(&settings);
    let large = Size { memory: 2048, timeout: 610, is_main: false };
    Deployment {
        name: "shop".parse().unwrap(),
        settings,
        sizes: vec![main, large],
        code: Some(code("abc")),
        edition: 1,
        contents_bucket: Some("contents".to_owned()),
        existing_buckets: vec!["old".to_owned()],
    }
}

/// The resources that a value refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value) {
                    ("Ref", Value::String(name)) if !name.starts_with("AWS::") => {
                        found.insert(name.clone());
                    }
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        found.insert(parts[0].as_str().expect("a name").to_owned());
                    }
                    ("DependsOn", Value::Array(names)) => {
                        found.extend(names.iter().map(|name| name.as_str().expect("a name").to_owned()));
                    }
                    ("Fn::Sub", Value::String(text)) => {
                        let parts = text.split("${").skip(1).filter_map(|part| part.split_once('}'));
                        found.extend(parts.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with("AWS::")));
                    }
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn resources_exist_before_those_that_refer_to_them() {
    let template = full().template();
    let mut left: BTreeMap<String, BTreeSet<String>> = template["Resources"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, resource)| {
            let mut found = BTreeSet::new();
            references(resource, &mut found);
            (name.clone(), found)
        })
        .collect();
    let all: BTreeSet<String> = left.keys().cloned().collect();
    let mut made = BTreeSet::new();
    while !left.is_empty() {
        let next: Vec<String> =
            left.iter().filter(|(_, needs)| needs.is_subset(&made)).map(|(name, _)| name.clone()).collect();
        assert!(!next.is_empty(), "these need each other, or what is not in the template: {left:?}");
        left.retain(|name, _| !next.contains(name));
        made.extend(next);
    }
    let mut outputs = BTreeSet::new();
    references(&template["Outputs"], &mut outputs);
    assert!(outputs.is_subset(&all), "{outputs:?}");
}

#[test]
fn the_bucket_of_the_code_comes_first_and_alone() {
    let template = Deployment { code: None, ..full() }.template();
    let resources = template["Resources"].as_object().unwrap();
    assert_eq!(resources.keys().collect::<Vec<_>>(), ["CodeBucket"]);
    assert_eq!(
        resources["CodeBucket"],
        full().template()["Resources"]["CodeBucket"],
        "the second step leaves it alone"
    );
}

#[test]
fn what_has_not_changed_has_the_same_template() {
    assert_eq!(full().template(), full().template());
}

#[test]
fn other_code_and_other_settings_of_functions_have_another_name() {
    let before = full();
    let name = |deployment: &Deployment| deployment.code_name(deployment.code.as_ref().unwrap());
    let mut more = full();
    more.settings.memory += 1;
    more.sizes[0].memory += 1;
    let mut quiet = full();
    quiet.settings.schedules.clear();
    assert_ne!(name(&before), name(&Deployment { code: Some(code("abd")), ..full() }));
    assert_ne!(name(&before), name(&more));
    assert_ne!(name(&before), name(&Deployment { edition: 2, ..full() }), "the same again, after another");
    assert_eq!(name(&before), name(&quiet), "sessions do not notice schedules");
}

#[test]
fn earlier_versions_stay_for_their_sessions() {
    let (before, after) = (full().template(), Deployment { code: Some(code("abd")), edition: 2, ..full() }.template());
    let of = |template: &Value, kind: &str| -> BTreeMap<String, Value> {
        let resources = template["Resources"].as_object().unwrap().clone();
        resources.into_iter().filter(|(_, resource)| resource["Type"] == kind).collect()
    };
    for kind in ["AWS::Lambda::Version", "AWS::Lambda::Alias"] {
        let kept = of(&after, kind);
        for (name, resource) in of(&before, kind).into_iter().filter(|(name, _)| !kept.contains_key(name)) {
            assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        }
    }
    assert_eq!(of(&before, "AWS::Lambda::Version").len(), 2);
    let functions = of(&after, "AWS::Lambda::Function");
    assert!(functions.values().all(|function| function["Properties"]["RecursiveLoop"] == "Allow"));
}

#[test]
fn only_managed_buckets_that_do_not_exist_are_made() {
    let template = full().template();
    let buckets: BTreeSet<&str> = template["Resources"]
        .as_object()
        .unwrap()
        .values()
        .filter(|resource| resource["Type"] == "AWS::S3::Bucket")
        .filter_map(|resource| resource["Properties"]["BucketName"].as_str())
        .collect();
    assert_eq!(buckets, BTreeSet::from(["up-loads", "uploads"]));
    assert_eq!(full().buckets_without_triggers().count(), 0);
    let older = Deployment { existing_buckets: vec!["uploads".to_owned()], ..full() };
    assert_eq!(older.buckets_without_triggers().collect::<Vec<_>>(), ["uploads"]);
}

/// Each `*` in a policy, with its reason.
#[test]
fn policies_have_no_star_without_a_reason() {
    let reasons = [
        ("table/hark-shop/index/*", "all indexes of the instance's own table"),
        ("function:hark-shop:*", "all versions of the instance's own functions"),
        ("function:hark-shop-m2048-t610:*", "the same"),
        ("log-group:/aws/lambda/hark-shop:*", "the streams of the instance's own logs"),
        ("log-group:/aws/lambda/hark-shop-m2048-t610:*", "the same"),
        (":s3:::other/*", "the objects of a bucket that the settings name"),
        (":s3:::up-loads/*", "the same"),
        (":s3:::uploads/*", "the same"),
        (":s3:::old/*", "the same"),
        (":s3:::contents/*", "the same"),
    ];
    let template = full().template();
    let roles = template["Resources"].as_object().unwrap().values().filter(|each| each["Type"] == "AWS::IAM::Role");
    let mut stars = Vec::new();
    for role in roles {
        for policy in role["Properties"]["Policies"].as_array().unwrap() {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                assert!(!statement["Action"].to_string().contains('*'), "{statement}");
                let resources = match &statement["Resource"] {
                    Value::Array(resources) => resources.clone(),
                    one => vec![one.clone()],
                };
                stars.extend(resources.iter().map(|each| each["Fn::Sub"].as_str().expect("an ARN").to_owned()));
            }
        }
    }
    stars.retain(|arn| arn.contains('*'));
    let unexplained: Vec<_> = stars.iter().filter(|arn| !reasons.iter().any(|(end, _)| arn.ends_with(end))).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert_eq!(stars.len(), reasons.len(), "each reason is still needed");
}

#[test]
fn a_schedule_tells_for_which_time_it_invokes() {
    let input = &full().template()["Resources"]["Schedule0"]["Properties"]["Target"]["Input"];
    let event =
        crate::Event::parse(input.as_str().unwrap().replace("<aws.scheduler.scheduled-time>", "12:00").as_bytes());
    let Ok(crate::Event::Start(start)) = event else { panic!("{input}") };
    assert_eq!((start.function.as_str(), start.key.as_deref()), ("hourly", Some("schedule-0:12:00")));
}
