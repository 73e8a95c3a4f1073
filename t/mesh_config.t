#!/usr/bin/perl

# mesh {}: what is accepted, what is refused and with which words, and what a
# reload does to the zone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 240);

# what is said of a value, its directive and what is right

sub invalid {
    return qq{invalid value "$_[0]" in "$_[1]" directive, it must be $_[2]};
}


###############################################################################
# what is refused: the line with the mark is the one to be named


# words, configuration

sub refused {
    my ($words, $conf) = @_;

    my ($status, $said) = $t->check_conf($conf);
    my @lines = split /\n/, $t->read_file('check.conf');
    my ($line) = grep { $lines[$_ - 1] =~ /#!/ } 1 .. @lines;

    my ($got) = $said =~ /\[emerg\] (?:\d+#\d+: )?(.*)/;
    my $expected = $words
                   . ($line ? ' in ' . $t->dir . "/check.conf:$line" : '');

    is($got // $said, $expected, "refused: $words");
    isnt($status, 0, '... with a status') if $status == 0;
}


sub accepted {
    my ($name, $conf) = @_;

    my ($status, $said) = $t->check_conf($conf);

    is($status, 0, "accepted: $name") or diag($said);
}


sub mesh_refused { refused($_[0], "mesh {\n    $_[1] #!\n}\n") }

sub endpoint_refused {
    refused($_[0], "mesh {\n    service a {\n        $_[1] #!\n    }\n}\n");
}


# the block

refused('"mesh" directive is duplicate', "mesh {\n}\nmesh { #!\n}\n");
refused('invalid number of arguments in "mesh" directive',
        "mesh x { #!\n}\n");
refused('"mesh" directive is not allowed here', "events {\nmesh { #!\n}\n}\n");
mesh_refused('unknown directive "foo"', 'foo;');
mesh_refused('"endpoint" directive is not allowed here',
             'endpoint 127.0.0.1:1;');
endpoint_refused('"zone" directive is not allowed here', 'zone mesh:16m;');
endpoint_refused('"service" directive is not allowed here', 'service b {}');

# zone

for my $zone (qw(mesh mesh: :16m mesh:x mesh:0 mesh:-1)) {
    mesh_refused(invalid($zone, 'zone', 'NAME:SIZE as "mesh:64m"'),
                 "zone $zone;");
}

mesh_refused('"zone" directive is duplicate', 'zone a:16m; zone b:16m;');
mesh_refused(invalid('m=8m', 'zone', 'metrics=SIZE'),
             'zone mesh:16m m=8m;');

for my $size ('', '0', 'x', '-1', '127k') {
    mesh_refused(invalid("metrics=$size", 'zone', 'a size of at least 128k'),
                 "zone mesh:16m metrics=$size;");
}

mesh_refused('zone "mesh" of 4096k is too small for "metrics=8192k", '
             . 'it must be at least 8640k', 'zone mesh:4m;');
mesh_refused('zone "mesh" of 1024k is too small for "metrics=1024k", '
             . 'it must be at least 1344k', 'zone mesh:1m metrics=1m;');

# worker_buffer

for my $size (qw(1k x 0 -1)) {
    mesh_refused(invalid($size, 'worker_buffer', 'a size of at least 1m'),
                 "worker_buffer $size;");
}

mesh_refused('"worker_buffer" directive is duplicate',
             'worker_buffer 1m; worker_buffer 1m;');

# names of services

for my $name ('', '/', ':', 'g/', 'g/:1', ':1') {
    mesh_refused(qq{invalid service name "$name", }
                 . 'it must be [GROUP/]INTERFACE[:VERSION]',
                 qq{service "$name" {}});
}

for my $name ('a b', ' a', "a\tb", "a\x01", "a\x7f") {
    mesh_refused(qq{invalid service name "$name", }
                 . 'spaces and control characters are not allowed',
                 qq{service "$name" {}});
}

for my $name ('*/a', 'a:*', '*', 'a.*') {
    mesh_refused(qq{invalid service name "$name", only callers may ask for }
                 . '"*"', qq{service "$name" {}});
}

for my $name ('a', 'a:', 'a:0.0.0', '/a') {
    mesh_refused(qq{duplicate service "$name", one block must hold all of its }
                 . 'endpoints', qq{service a {} service $name {}});
}

mesh_refused('invalid value "b" in "service" directive, it must be '
             . 'registry=NAME[,NAME] or protocol=NAME', 'service a b {}');

# addresses of endpoints

for my $addr ('127.0.0.1', '[::1]', 'localhost') {
    endpoint_refused(qq{no port in endpoint "$addr", it must be ADDRESS:PORT }
                     . 'or unix:PATH', "endpoint $addr;");
}

endpoint_refused('invalid port in endpoint "127.0.0.1:70000"',
                 'endpoint 127.0.0.1:70000;');
endpoint_refused('invalid host in endpoint "[::1:1"', 'endpoint [::1:1;');
endpoint_refused('host not found in endpoint "nowhere.invalid:1"',
                 'endpoint nowhere.invalid:1;');
endpoint_refused('duplicate endpoint "127.0.0.1:1" in service "a"',
                 'endpoint 127.0.0.1:1; endpoint 127.0.0.1:1 backup;');
endpoint_refused('duplicate endpoint "unix:/x" in service "a"',
                 'endpoint unix:/x; endpoint unix:/x;');

# parameters of endpoints

for my $number ('weight=', 'weight=x', 'weight=-1', 'weight=1000001') {
    endpoint_refused(invalid($number, 'endpoint',
                             'a number from 0 to 1000000'),
                     "endpoint 127.0.0.1:1 $number;");
}

endpoint_refused(invalid('max_fails=x', 'endpoint',
                         'a number, 0 switches it off'),
                 'endpoint 127.0.0.1:1 max_fails=x;');

for my $time ('fail_timeout=', 'fail_timeout=x', 'slow_start=1x') {
    endpoint_refused(invalid($time, 'endpoint', 'a time as "10s"'),
                     "endpoint 127.0.0.1:1 $time;");
}

for my $label ('label=', 'label=a', 'label==1') {
    endpoint_refused(invalid($label, 'endpoint', 'label=KEY=VALUE'),
                     "endpoint 127.0.0.1:1 $label;");
}

endpoint_refused('duplicate label "a" in "label=a=2"',
                 'endpoint 127.0.0.1:1 label=a=1 label=a=2;');

for my $protocol ('protocol=') {
    endpoint_refused(invalid($protocol, 'endpoint', '"protocol=NAME"'),
                     "endpoint 127.0.0.1:1 $protocol;");
}

for my $parameter (qw(foo weight backup=1 downs)) {
    endpoint_refused(invalid($parameter, 'endpoint',
                             'weight=, label=, protocol=, max_fails=, '
                             . 'fail_timeout=, slow_start=, backup or down'),
                     "endpoint 127.0.0.1:1 $parameter;");
}

endpoint_refused('"balancer" directive is duplicate',
                 'balancer random; balancer random;');


###############################################################################
# what is accepted


accepted('no block at all', '');
accepted('an empty block', "mesh {\n}\n");
accepted('a zone with room for the metrics and little else',
         "mesh {\n    zone mesh:8640k metrics=8m;\n}\n");
accepted('a small zone', "mesh {\n    zone m:2m metrics=1m;\n}\n");

accepted('all the directives', <<'CONF');
mesh {
    zone mesh:64m metrics=8m;
    worker_buffer 64m;

    service a {
    }

    service g/com.example.Greeter:1.0.0 {
        endpoint 127.0.0.1:1 weight=0 label=v=1 label=zone=a=b label=empty=;
        endpoint 127.0.0.1:2 weight=1000000 protocol=dubbo max_fails=0;
        endpoint 127.0.0.1:3 fail_timeout=500ms slow_start=30s backup;
        endpoint 127.0.0.1:4 max_fails=3 fail_timeout=0 slow_start=0 down;
        endpoint unix:/run/provider.sock;
        endpoint [::1]:1;
        endpoint localhost:5;
        balancer least_request;
    }

    service com.example.Greeter:1.0.0 {
        endpoint 127.0.0.1:1;
        balancer random;
    }

    service com.example.Greeter:2.0.0 {
        endpoint 127.0.0.1:1;
        balancer hash method;
    }

    service com.example.Greeter {
        endpoint 127.0.0.1:1;
        balancer round_robin;
    }
}
CONF

$t->write_file('services.conf', <<'CONF');
service a {
    include endpoints.conf;
}
CONF
$t->write_file('endpoints.conf', "endpoint 127.0.0.1:1;\n");
accepted('include in both blocks', "mesh {\n    include services.conf;\n}\n");

$t->write_file('endpoints.conf', "\nendpoint 127.0.0.1;\n");
(undef, my $said) = $t->check_conf("mesh {\n    include services.conf;\n}\n");
like($said, qr{ in \Q@{[ $t->dir ]}\E/endpoints\.conf:2$}m,
     'an error in an included file names that file');


###############################################################################
# who needs the block


sub server {
    return "stream {\n    server {\n        listen 127.0.0.1:%%PORT_rpc%%;\n"
           . "        $_[0] #!\n    }\n}\n";
}

my $mesh = "mesh {\n    service com.example.Greeter:1.0.0 {\n    }\n}\n";
my $default = server('mesh_pass dubbo; mesh_default_service '
                     . 'com.example.Greeter:1.0.0;');
my $missing = '"mesh_default_service" names service "com.example.Other" '
              . 'that no mesh {} block declares';
my $other = server('mesh_pass dubbo; mesh_default_service com.example.Other;');

accepted('mesh {} before stream {}', $mesh . $default);
accepted('mesh {} behind stream {}', $default . $mesh);
refused($missing, $mesh . $other);
refused($missing, $other . $mesh);
refused('"mesh_pass" needs a "mesh { zone NAME:SIZE; }" block',
        server('mesh_pass dubbo;'));


###############################################################################
# nginx -t leaves nothing that it would not leave without mesh {}


sub files {
    my ($conf) = @_;

    $t->check_conf($conf);

    opendir my $dir, $t->dir or die "cannot read " . $t->dir . ": $!";
    return join ' ', sort readdir $dir;
}

my $plain = files('');
is(files("mesh {\n    zone mesh:16m;\n}\n"), $plain,
   'nginx -t leaves no files');


###############################################################################
# reload


$t->allow_log('while previously it used', 'no mesh \{\} block declares');

my $server = server('mesh_pass dubbo;');

sub reload {
    $t->write_conf(@_);
    return $t->reload;
}

$t->write_conf("mesh {\n    zone mesh:16m metrics=8m;\n}\n" . $server);
$t->run;

ok(reload("mesh {\n    zone mesh:16m metrics=8m;\n}\n" . $server),
   'reload with the same zone');

my @workers = $t->workers;

ok(!reload("mesh {\n    zone mesh:16m metrics=4m;\n}\n" . $server),
   'reload with other metrics in the same zone is refused');

my $reason = 'zone "mesh" uses "metrics=4096k" while previously it used '
             . '"metrics=8192k", give the zone another name or size to '
             . 'change it';

ok($t->grep_log(qr/\[emerg\].* \Q$reason\E$/),
   '... with the reason and the remedy');
is("@{[ $t->workers ]}", "@workers", '... and the worker goes on');

ok(reload("mesh {\n    zone mesh:20m metrics=4m;\n}\n" . $server),
   'reload with another size');
ok(reload("mesh {\n    zone other:20m metrics=8m;\n}\n" . $server),
   'reload with another name');

# demands of a failed configuration do not outlive it

ok(!reload("mesh {\n    zone other:20m;\n}\n" . $other),
   'reload without the default service is refused');
ok(reload("mesh {\n    zone other:20m;\n}\n" . $server),
   'reload that demands it no more');
ok(reload(''), 'reload without mesh {}');
ok(reload($mesh . $default), 'reload with mesh {} again');

$t->done;
