<?php

use App\Models\Note;
use Illuminate\Support\Facades\Crypt;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Route;

Route::get('/', function () {
    session()->increment('visits');

    // Only with the key that the migration had.
    $seal = Crypt::decryptString(DB::table('seals')->value('words'));

    return view('home', [
        'greeting' => require app_path('greeting.php'),
        'notes' => Note::count(),
        'visits' => session('visits'),
        'seal' => $seal,
    ]);
});
