<?php

use App\Models\Note;
use Illuminate\Support\Facades\Crypt;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Route;

Route::get('/', function () {
    session()->increment('visits');
    [$number, $branch] = [getenv('PREVIEW_PR_NUMBER'), getenv('PREVIEW_BRANCH')];
    $commit = substr(getenv('PREVIEW_COMMIT_SHA') ?: '', 0, 7);

    // Only with the key that the migration had.
    $seal = Crypt::decryptString(DB::table('seals')->value('words'));

    return view('home', [
        'greeting' => config('greeting.text'),
        'where' => $number ? "pull request #{$number} ({$branch}) at {$commit}" : 'not in a preview',
        'notes' => Note::count(),
        'visits' => session('visits'),
        'seal' => $seal,
    ]);
});

// Healthy means that the database answers. Who asks has no session.
Route::get('/health', fn () => ['status' => DB::select('SELECT 1') ? 'ok' : 'empty'])->withoutMiddleware('web');
