//! What the engine knows of Ferry's classes.

use ferry_tests::godot::Scene;

#[test]
fn all_that_a_built_in_class_has_is_on_ferrys() {
    Scene::script("classes.gd").must_pass();
}
