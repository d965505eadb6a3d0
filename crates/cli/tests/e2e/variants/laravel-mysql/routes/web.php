<?php

use App\Models\Note;
use Illuminate\Support\Facades\Route;

Route::get('/', function () {
    session()->increment('visits');

    return view('home', ['greeting' => require app_path('greeting.php'), 'notes' => Note::count(), 'visits' => session('visits')]);
});
