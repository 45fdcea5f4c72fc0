//! The schema and the document say the same: a document made of the schema is read and
//! written again unchanged, and what is written keeps to the schema.

use super::*;
use serde_json::{Map, Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/whack-json.schema.json")).unwrap()
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => root.pointer(path.strip_prefix('#').unwrap()).expect(path),
        None => schema,
    }
}

/// What of JSON Schema our schema uses, and no more; says where a value breaks it.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(root, schema);
    for keyword in schema.as_object().unwrap().keys() {
        let known = [
            "$schema",
            "$defs",
            "title",
            "description",
            "type",
            "properties",
            "required",
            "items",
            "additionalProperties",
            "minItems",
            "maxItems",
            "minimum",
            "enum",
            "const",
            "anyOf",
        ];
        assert!(known.contains(&keyword.as_str()), "{keyword} is not checked by this test");
    }
    let fail = |why: &str| Err(format!("{at}: {why}: {value}"));
    if let Some(constant) = schema.get("const") {
        return if value == constant { Ok(()) } else { fail("is not the constant") };
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return fail("is not in the enum");
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices
            .iter()
            .find_map(|choice| check(root, choice, value, at).ok())
            .map_or_else(|| fail("is none of anyOf"), Ok);
    }
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    };
    let right = match &schema["type"] {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    };
    if !right {
        return fail("has the wrong type");
    }
    if schema["minimum"] == 0 && value.as_i64().is_some_and(|number| number < 0) {
        return fail("is negative");
    }
    if let (Some(least), Some(items)) = (schema["minItems"].as_u64(), value.as_array())
        && items.len() as u64 != least
    {
        return fail("has the wrong length");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{at}[{index}]"))?;
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return fail(&format!("has no {name}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => check(root, schema, member, &at)?,
            // Users of the schema must bear fields that are new; this test must not.
            (None, Value::Null) => return Err(format!("{at}: is not in the schema")),
            (None, schema) => check(root, schema, member, &at)?,
        }
    }
    Ok(())
}

/// A value that has everything that the schema allows.
fn sample(root: &Value, schema: &Value) -> Value {
    let schema = resolve(root, schema);
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.last().unwrap().clone();
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return sample(root, &choices[0]);
    }
    let name = match &schema["type"] {
        Value::Array(names) => names[0].as_str(),
        name => name.as_str(),
    };
    match name.unwrap() {
        "string" => json!("text"),
        "boolean" => json!(true),
        "integer" => json!(7),
        "array" => {
            let count = schema["minItems"].as_u64().unwrap_or(1);
            (0..count).map(|_| sample(root, &schema["items"])).collect()
        }
        "object" => match schema["properties"].as_object() {
            Some(properties) => properties
                .iter()
                .map(|(name, schema)| (name.clone(), sample(root, schema)))
                .collect::<Map<_, _>>()
                .into(),
            None => json!({ "name": sample(root, &schema["additionalProperties"]) }),
        },
        other => panic!("type {other}"),
    }
}

#[test]
fn a_document_that_has_everything_survives_unchanged() {
    let schema = schema();
    let everything = sample(&schema, &schema);
    assert_eq!(check(&schema, &schema, &everything, "$"), Ok(()));
    let document: Document = serde_json::from_value(everything.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), everything);
}

#[test]
fn what_is_written_keeps_to_the_schema() {
    let schema = schema();
    let mut document = Document::new(Listing::Status, None);
    assert_eq!(check(&schema, &schema, &serde_json::to_value(&document).unwrap(), "$"), Ok(()));
    for item in [
        Item::from(DaemonFacts {
            interfaces: vec![InterfaceFacts::default()],
            esp_encrypt: vec![EncryptAlgorithm::default()],
            esp_auth: vec![AuthAlgorithm::default()],
            ike_encrypt: vec![IkeEncryptAlgorithm::default()],
            ike_prf: vec![PrfAlgorithm::default()],
            ike_ke: vec![KeyExchangeAlgorithm::default()],
            ..DaemonFacts::default()
        }),
        FipsFacts::default().into(),
        ConnectionFacts::default().into(),
        TotalsFacts::default().into(),
        BriefFacts::default().into(),
        IkeSaFacts { deadlines: vec![DeadlineFacts::default()], ..IkeSaFacts::default() }.into(),
        ChildSaFacts { max_bytes: u64::MAX, ..ChildSaFacts::default() }.into(),
        PendingFacts::default().into(),
        ShuntFacts::default().into(),
        AddressPoolFacts { lease: vec![LeaseFacts::default()], ..AddressPoolFacts::default() }
            .into(),
        ProcessFacts::default().into(),
        CounterFacts { name: "a.b".into(), value: 1 }.into(),
        PublicKeyFacts::default().into(),
        PskFacts::default().into(),
        Item::Certificate(CertificateFacts::default()),
        Item::CaCertificate(CertificateFacts::default()),
        CrlFacts::default().into(),
        EventFacts::default().into(),
        ActorFacts::default().into(),
    ] {
        let wire = serde_json::to_string(&item).unwrap();
        assert_eq!(serde_json::from_str::<Item>(&wire).unwrap(), item);
        document.add(item);
    }
    document.messages.push(Message { code: 21, text: String::new() });
    let written = serde_json::to_value(&document).unwrap();
    assert_eq!(check(&schema, &schema, &written, "$"), Ok(()));
    for (name, list) in written.as_object().unwrap() {
        assert_ne!(list.as_array().map(Vec::len), Some(0), "{name} has no sample");
    }
}

#[test]
fn the_check_of_the_schema_finds_faults() {
    let schema = schema();
    let everything = sample(&schema, &schema);
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = everything.clone();
        change(&mut value);
        check(&schema, &schema, &value, "$").unwrap_err()
    };
    for (at, error) in [
        ("$.format", broken(&|v| v["format"] = json!("x"))),
        ("$.listing", broken(&|v| v["listing"] = json!("x"))),
        ("$.later", broken(&|v| v["later"] = json!(1))),
        ("$.daemon", broken(&|v| v["daemon"]["pid"] = json!("x"))),
        ("$.child_sas[0].serial", broken(&|v| v["child_sas"][0]["serial"] = json!(-1))),
        ("$.child_sas[0].local_ts[0]", broken(&|v| v["child_sas"][0]["local_ts"][0] = json!(1))),
        ("$.connections[0].priority", broken(&|v| v["connections"][0]["priority"] = json!([1]))),
        ("$.counters.name", broken(&|v| v["counters"]["name"] = json!("x"))),
        (
            "$: has no \"actors\"",
            broken(&|v| {
                v.as_object_mut().unwrap().remove("actors");
            }),
        ),
    ] {
        assert!(error.starts_with(at), "{at}: {error}");
    }
}

#[test]
fn facts_of_another_version_are_read_as_far_as_they_go() {
    let json = r#"{"kind":"child-sa","facts":{"serial":3,"later":{"x":1}}}"#;
    let item: Item = serde_json::from_str(json).unwrap();
    assert_eq!(item, ChildSaFacts { serial: 3, ..ChildSaFacts::default() }.into());
}
