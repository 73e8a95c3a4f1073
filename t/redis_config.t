#!/usr/bin/perl

# What "registry redis" accepts, and how it refuses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new;


sub check {
    my ($registry) = @_;

    my ($code, $out) = $t->check_conf(
        "mesh {\nzone mesh:4m metrics=128k;\nstate_path %%DIR%%/state;\n"
        . "registry redis $registry;\n}\n");

    return $code == 0 ? 'ok'
                      : $out =~ /\[emerg\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$/m
                        ? $1 : $out;
}

sub accepted {
    my ($registry) = @_;
    is(check($registry), 'ok', $registry);
}

sub refused {
    my ($registry, $why) = @_;
    is(check($registry), $why, "refused: $registry");
}

my $url = 'redis://127.0.0.1';

accepted($_) for $url, "$url/", "$url/0", "$url:6380/15", 'unix:/run/redis.sock',
    'redis://u%40x@127.0.0.1 password_file=/run/secrets/redis',
    "$url username=u password_file=p root=dubbo root=/a/b/",
    "$url redis://127.0.0.2 sentinel=mymaster sentinel_username=s "
        . 'sentinel_password_file=p',
    "$url session=60s refresh=30s ping=5s timeout=500ms",
    'rediss://127.0.0.1 ssl_verify=off';

refused('redis://u:p@127.0.0.1', 'a password in the URL '
        . '"redis://...@127.0.0.1" of "registry redis" is not accepted, put it '
        . 'into a file and name that with "password_file="');
refused("$url password=p", '"password=" in "registry redis" is not accepted, '
        . 'put it into a file and name that with "password_file="');
refused('redis://u@127.0.0.1', 'user "u" of "registry redis" needs '
        . '"password_file="');
refused('redis://u@127.0.0.1 redis://v@127.0.0.2 password_file=p',
        'users "u" and "v" in one "registry redis", it must be one');
refused("$url/x", 'invalid database "/x" in a URL of "registry redis", it '
        . 'must be a number as "/0"');
refused("$url/0 redis://127.0.0.2/1", 'databases 0 and 1 in one "registry '
        . 'redis", it must be one');
refused("$url root=/", 'invalid value "root=/" in "registry" directive, it '
        . 'must be a path as "/dubbo"');
refused("$url root=a*", 'invalid value "root=a*" in "registry" directive, it '
        . 'must be a path as "/dubbo"');
refused("$url sentinel=", 'invalid value "sentinel=" in "registry" directive, '
        . 'it must be followed by a value');
refused("$url sentinel_password_file=p", '"sentinel_password_file=" of '
        . '"registry redis" needs "sentinel=", the master\'s name');
refused("$url sentinel=m sentinel_username=s", '"sentinel_username=s" needs '
        . '"sentinel_password_file="');
refused("$url ping=10ms", 'invalid value "ping=10ms" in "registry" directive, '
        . 'it must be a time from 100ms to 60s');
refused("$url session=x", 'invalid value "session=x" in "registry" directive, '
        . 'it must be a time from 1000ms to 86400s');

$t->done;
