<h1>{{ $greeting }}</h1>
<p>{{ $where }}</p>
<p><a href="api/notes">{{ $notes }} notes</a>, your visit {{ $visits }}</p>
<p>{{ $seal }}</p>
