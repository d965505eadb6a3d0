# The extensions that Laravel and its databases want, compiled once per machine: no repository's code is in this stage.
FROM {{ php }} AS base
RUN apt-get update \
    && apt-get install -y --no-install-recommends nginx unzip git \
        libpq-dev libzip-dev libicu-dev libpng-dev libjpeg62-turbo-dev libfreetype6-dev \
    && docker-php-ext-configure gd --with-jpeg --with-freetype \
    && docker-php-ext-install -j"$(nproc)" pdo_mysql pdo_pgsql bcmath exif gd intl {{ "opcache " if opcache }}pcntl zip \
    && rm -rf /var/lib/apt/lists/*
{% if redis %}
RUN pecl install redis && docker-php-ext-enable redis
{% endif %}
{% if mongodb %}
RUN apt-get update \
    && apt-get install -y --no-install-recommends libssl-dev \
    && pecl install {{ mongodb }} && docker-php-ext-enable mongodb \
    && rm -rf /var/lib/apt/lists/*
{% endif %}
# Configuration of both programs, and how they are started.
RUN printf '%s\n' \
        '[global]' 'error_log = /proc/self/fd/2' 'daemonize = no' \
        '[www]' 'listen = /tmp/php-fpm.sock' 'clear_env = no' 'catch_workers_output = yes' 'decorate_workers_output = no' \
        'pm = dynamic' 'pm.max_children = 8' 'pm.start_servers = 2' 'pm.min_spare_servers = 1' 'pm.max_spare_servers = 3' \
        > /etc/preview-php-fpm.conf \
    && printf '%s\n' \
        'daemon off; pid /tmp/nginx.pid; worker_processes 1; error_log stderr;' \
        'events { worker_connections 512; }' \
        'http {' \
        '  include /etc/nginx/mime.types; default_type application/octet-stream;' \
        '  access_log off; server_tokens off; sendfile on; client_max_body_size 100m;' \
        '  client_body_temp_path /tmp/nginx-body; fastcgi_temp_path /tmp/nginx-fastcgi; proxy_temp_path /tmp/nginx-proxy;' \
        '  uwsgi_temp_path /tmp/nginx-uwsgi; scgi_temp_path /tmp/nginx-scgi;' \
        '  server {' \
        '    listen {{ port }}; root /app/public; index index.php; absolute_redirect off;' \
        '    location / { try_files $uri $uri/ /index.php?$query_string; }' \
        '    location ~ ^/index\.php(/|$) {' \
        '      include /etc/nginx/fastcgi_params; fastcgi_pass unix:/tmp/php-fpm.sock; fastcgi_read_timeout 120s;' \
        '      fastcgi_param SCRIPT_FILENAME $realpath_root/index.php; fastcgi_param HTTP_PROXY "";' \
        '    }' \
        '    location ~ \.php$ { return 404; }' \
        '    location ~ /\.(?!well-known) { return 404; }' \
        '  }' \
        '}' \
        > /etc/preview-nginx.conf \
    && printf '%s\n' \
        '#!/bin/bash' \
        '# Two programs: when one ends, or the container shall, both do.' \
        'trap : TERM INT QUIT' \
        '# Without a database nothing is known that no other preview knows: a key for this container.' \
        '[ -n "$APP_KEY$DB_PASSWORD" ] || export APP_KEY=base64:$(head -c 32 /dev/urandom | base64)' \
        'php-fpm --fpm-config /etc/preview-php-fpm.conf &' \
        'nginx -e stderr -c /etc/preview-nginx.conf &' \
        'wait -n' \
        'ended=$?' \
        'kill -QUIT $(jobs -p) 2>/dev/null' \
        'wait' \
        'exit $ended' \
        > /usr/local/bin/preview-serve \
    && chmod 0755 /usr/local/bin/preview-serve
# Read by every PHP before what it runs, so that migrations, seeders and consoles have it too. The key is made of what this preview alone
# knows, so that what it seals outlives an update. Where there is no database, sessions and caches lie in files: by default Laravel expects
# tables for them.
RUN mkdir /usr/local/lib/preview \
    && echo 'auto_prepend_file=/usr/local/lib/preview/settings.php' > /usr/local/lib/preview/settings.ini \
    && printf '%s\n' \
        '<?php' \
        '(static function () {' \
        '    $settings = ["APP_URL" => getenv("PREVIEW_URL"), "ASSET_URL" => getenv("PREVIEW_URL")];' \
        '    if ($password = getenv("DB_PASSWORD")) {' \
        '        $settings["APP_KEY"] = "base64:".base64_encode(hash_hmac("sha256", "APP_KEY", $password, true));' \
        '    }' \
        '    if (! getenv("DB_CONNECTION") && ! getenv("DATABASE_URL")) {' \
        '        $settings += ["SESSION_DRIVER" => "file", "CACHE_STORE" => "file", "QUEUE_CONNECTION" => "sync"];' \
        '    }' \
        '    foreach ($settings as $name => $value) {' \
        '        if ($value && ! getenv($name)) {' \
        '            putenv("$name=$value");' \
        '            $_ENV[$name] = $_SERVER[$name] = $value;' \
        '        }' \
        '    }' \
        '})();' \
        > /usr/local/lib/preview/settings.php

FROM base AS vendor
COPY --from={{ composer }} /usr/bin/composer /usr/local/bin/composer
ENV COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_CACHE_DIR=/composer-cache COMPOSER_NO_INTERACTION=1
WORKDIR /app
{% if sources_first %}
COPY . .
{% else %}
COPY {{ manifests }} ./
{% endif %}
# With what is for development: seeders use factories, and those need Faker.
RUN --mount=type=cache,id=composer,target=/composer-cache \
    composer install --no-progress --prefer-dist --no-scripts --no-autoloader
COPY . .
# What an app keeps on its public disk is found below `/storage`, as by `artisan storage:link`.
RUN mkdir -p bootstrap/cache storage/app/public storage/framework/cache/data storage/framework/sessions \
        storage/framework/views storage/logs \
    && { [ ! -d public ] || [ -e public/storage ] || ln -sfn ../storage/app/public public/storage; } \
    && composer dump-autoload --optimize
{% for command in commands %}
{{ command }}
{% endfor %}
{% if assets %}

FROM {{ node }} AS assets
ENV {{ assets.env }}
WORKDIR /app
{% if assets.tool %}
RUN --mount=type=cache,id=npm,target=/root/.npm npm install --global --force {{ assets.tool }}
{% endif %}
{% for manifest in assets.manifests %}
COPY {{ manifest }}
{% endfor %}
RUN --mount=type=cache,{{ assets.cache }} {{ assets.install }}
# Some assets are taken out of PHP packages.
COPY --from=vendor /app ./
RUN npm run build
{% endif %}

FROM base
# The folder stands beside those that PHP reads anyway.
ENV APP_ENV=production LOG_CHANNEL=stderr PORT={{ port }} HOME=/tmp PHP_INI_SCAN_DIR=:/usr/local/lib/preview
WORKDIR /app
COPY --from=vendor --chown=www-data:www-data /app ./
{% if assets %}
COPY --from=assets --chown=www-data:www-data /app/public ./public
{% endif %}
RUN chown www-data:www-data /app
USER www-data
# The image asks for SIGQUIT, which is for php-fpm alone.
STOPSIGNAL SIGTERM
EXPOSE {{ port }}
CMD ["preview-serve"]
