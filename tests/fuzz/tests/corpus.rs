//! Every file of the corpus goes through its target, also where nobody fuzzes.

use std::fs;
use std::path::Path;

use portcullis_fuzz::Target;

#[test]
fn what_is_known_holds_of_every_file_of_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in Target::ALL {
        let files = fs::read_dir(corpus.join(target.name)).expect("a directory for each target");
        let mut count = 0;
        for file in files {
            let path = file.expect("an entry").path();
            println!("{}", path.display());
            target.run(&fs::read(&path).expect("a file"));
            count += 1;
        }
        assert!(count >= 3, "{}: {count} files", target.name);
    }
}
