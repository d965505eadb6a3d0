<h1>{{ $greeting }}</h1>
<p>{{ $notes }} notes, your visit {{ $visits }}</p>
<p>{{ $seal }}</p>
