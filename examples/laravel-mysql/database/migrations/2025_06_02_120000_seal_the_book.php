<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Crypt;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up()
    {
        Schema::create('seals', function (Blueprint $table) {
            $table->text('words');
        });
        DB::table('seals')->insert(['words' => Crypt::encryptString('sealed at '.url('/'))]);
    }

    public function down()
    {
        Schema::dropIfExists('seals');
    }
};
