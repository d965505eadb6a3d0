<?php

return 'Hello from the main branch';
