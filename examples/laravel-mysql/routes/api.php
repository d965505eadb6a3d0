<?php

use App\Models\Note;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

Route::get('notes', fn () => Note::orderBy('id')->get(['id', 'message']));

Route::post('notes', function (Request $request) {
    $fields = $request->validate(['message' => 'required|string|max:280']);

    return response()->json(Note::create($fields), 201);
});
