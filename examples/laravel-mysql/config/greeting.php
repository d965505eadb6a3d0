<?php

return ['text' => 'Hello from the main branch'];
