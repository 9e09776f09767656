//! No bytes make it panic, and every reason is bounded.

use flotilla_core::broker::Adopt;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// One good message of each format.
fn seeds() -> Vec<Value> {
    let own = json!({"envelope": 1, "kind": "text.read", "payload": {"text": "a"}});
    let s3 = json!({"Records": [s3_record("ObjectCreated:Put", "a%2", "1")]});
    let bus = json!({"id": "e", "detail-type": "d", "source": "s", "detail": own});
    let event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "t",
        "expirytime": "2030-01-01T00:00:00Z", "data_base64": "e30="});
    let kombu = json!({"body": "[[],{},{}]", "headers": {"task": "t", "id": "i",
        "eta": "2026-01-01T00:00:00"}, "properties": {"body_encoding": null}});
    let wrapped = sns(&s3.to_string());
    vec![own, s3, bus, event.clone(), json!([event]), kombu, wrapped]
}

fn check(body: Vec<u8>, attributes: &[(&str, &str)]) {
    let adopter = open();
    let mut message = delivery(body, attributes);
    let first = adopter.adopt(&message, now());
    message.redelivered = 1;
    let second = adopter.adopt(&message, now());
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let ids = |jobs: &[flotilla_core::queue::NewJob]| {
                jobs.iter().map(|j| j.id).collect::<Vec<_>>()
            };
            assert_eq!(ids(&first), ids(&second));
        }
        (Err(first), Err(second)) => {
            assert!(first.reason.len() <= 4096 && !first.reason.is_empty());
            assert_eq!(first, second);
        }
        _ => panic!("the same message was read in two ways"),
    }
}

const ATTRIBUTES: [&[(&str, &str)]; 3] = [
    &[],
    &[("task", "t"), ("id", "1"), ("retries", "x"), ("expires", "\u{0}")],
    &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t")],
];

proptest! {
    #[test]
    fn any_bytes(body in proptest::collection::vec(any::<u8>(), 0..300), with in 0usize..3) {
        check(body, ATTRIBUTES[with]);
    }

    #[test]
    fn good_messages_with_a_bad_spot(
        seed in 0usize..7, at in any::<prop::sample::Index>(), byte in any::<u8>(), with in 0usize..3,
        cut in any::<bool>(),
    ) {
        let mut body = seeds()[seed].to_string().into_bytes();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        check(body, ATTRIBUTES[with]);
    }

    #[test]
    fn good_messages_with_another_value_somewhere(
        seed in 0usize..7, at in any::<prop::sample::Index>(), other in 0usize..8,
    ) {
        let others = [
            Value::Null, json!(true), json!(-1), json!(""), json!("{\"Type\":"), json!([]),
            json!({}), json!("é".repeat(5000)),
        ];
        let mut body = seeds()[seed].clone();
        let mut pointers = Vec::new();
        collect(&body, String::new(), &mut pointers);
        let pointer = &pointers[at.index(pointers.len())];
        *body.pointer_mut(pointer).unwrap() = others[other].clone();
        check(body.to_string().into_bytes(), &[]);
    }
}

fn collect(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                collect(inner, format!("{at}/{name}"), into);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                collect(inner, format!("{at}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(at);
}

#[test]
fn deep_and_large_bodies_are_refused() {
    check(vec![b'['; 100_000], &[]);
    check([b"{\"a\":".repeat(100_000), b"1".to_vec()].concat(), &[]);
    let large = json!({"kind": "text.read", "payload": {"text": "a".repeat(300 << 10)}});
    assert!(reason(&open(), &large, &[]).contains("put large data in a blob"));
    let larger = json!({"kind": "text.read", "payload": {"text": "a".repeat(2 << 20)}});
    assert!(reason(&open(), &larger, &[]).contains("at most 1048576"));
}
