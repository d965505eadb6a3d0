//! Who makes too many files, though there is nothing in them.

use std::os::unix::fs::PermissionsExt;

use preview_core::capacity::Measure;
use preview_core::compose::AppUser;
use preview_core::ids::Slot::A;
use preview_orchestrator::needs::{ContainerEngine, ContainerState, Filled, Part};

use crate::ground::{Deployment, Ground, commit, mimic, on_engine};

/// An app with two folders that anybody may write to, one of them a volume.
const FOLDERS: &str =
    "FROM scratch\nCOPY mimic /mimic\nCOPY folders /\nVOLUME /kept\nENTRYPOINT [\"/mimic\"]\nCMD [\"serve\"]\n";
/// With so few bytes go no more files than any container may make: ten thousand.
const BYTES: u64 = 50_000_000;
const MOST: u64 = 10_000;

async fn up(ground: &Ground, number: u64) -> Deployment {
    let mut app = Deployment::new(ground, "litter", number);
    app.put("mimic", mimic());
    for folder in ["folders/made", "folders/kept"] {
        let path = app.checkout.path().join(folder);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    ground.build(&app, commit(1), FOLDERS).await.unwrap();
    app.slot(A, commit(1), AppUser::Unprivileged);
    ground.start(&app, &[Part::App(A)]).await.unwrap();
    app.healthy(A).await;
    app
}

#[tokio::test]
async fn whoever_makes_too_many_files_is_found_and_stopped_and_others_are_not() {
    on_engine(async |ground: &Ground| {
        let [beside, in_volume, innocent] = [up(ground, 1).await, up(ground, 2).await, up(ground, 3).await];
        let found = async || ground.engine.filled(BYTES).await.unwrap();
        assert_eq!(found().await, [], "nobody has made anything");
        for (app, folder) in [(&beside, "made"), (&in_volume, "kept")] {
            assert_eq!(app.ask(A, &format!("/litter/{folder}/9000")).await, "Ok(())");
            assert_eq!(found().await, [], "it may have as many");
            // The disk is everybody's here, and files of others go meanwhile: more are made until it is noticed.
            let mut filled = Vec::new();
            for _ in 0..5 {
                assert_eq!(app.ask(A, &format!("/litter/{folder}/9000")).await, "Ok(())");
                filled = found().await;
                if !filled.is_empty() {
                    break;
                }
            }
            let [Filled { deployment, part, by, amount }] = &filled[..] else { panic!("{folder}: {filled:?}") };
            assert_eq!((deployment, *part, *by), (&app.id, Part::App(A), Measure::Files));
            assert!(*amount > MOST, "{amount}");
            ground.engine.halt(deployment, *part).await.unwrap();
        }
        for (app, runs) in [(&beside, false), (&in_volume, false), (&innocent, true)] {
            let state = ground.view(app).await.part(Part::App(A)).unwrap().state.clone();
            assert_eq!(state == ContainerState::Running { healthy: None }, runs, "{}: {state:?}", app.id);
        }
    })
    .await;
}
