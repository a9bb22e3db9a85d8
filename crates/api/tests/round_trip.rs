//! Random objects of every structure, through protobuf and back.

use api::decode::Node;
use api::protobuf::{encode, tree};
use api::schema::Type;
use testkit::dice::Dice;
use testkit::objects::random;

/// Objects of each structure.
const ROUNDS: usize = 12;

#[test]
fn json_to_protobuf_to_json_is_the_identity() {
    let mut dice = Dice::new(7);
    let mut objects = 0;
    for structure in Type::all() {
        for round in 0..ROUNDS {
            let object = random(&mut dice, structure, 2 + round % 4);
            let message = encode(object.to_string().as_bytes(), structure).expect("an object of the structure");
            let back = tree(&message, structure).map(Node::into_value);
            assert_eq!(back, Ok(object), "{}, round {round}", structure.definition());
            objects += 1;
        }
    }
    assert!(objects > 5_000, "{objects}");
}
