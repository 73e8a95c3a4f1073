#!/usr/bin/perl

# The directives of the stream module: what is accepted, what is refused and
# with which words.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 240);

my $mesh = "mesh {\n    service com.example.Greeter:1.0.0 {\n    }\n}\n";


sub server {
    my ($directives, $main) = @_;

    $main //= '';

    return "${mesh}stream {\n    $main\n    server {\n"
           . "        listen 127.0.0.1:%%PORT_rpc%%;\n"
           . "        $directives\n    }\n}\n";
}


# words, configuration, and what ends the line: the place of the mark, or of
# the server where only the whole of it is wrong

sub refused_conf {
    my ($words, $conf) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $said) = $t->check_conf($conf);
    my @lines = split /\n/, $t->read_file('check.conf');
    my ($mark) = grep { $lines[$_ - 1] =~ /#!/ } 1 .. @lines;
    my ($server) = grep { $lines[$_ - 1] =~ /^\s*server \{/ } 1 .. @lines;
    my $file = $t->dir . '/check.conf';

    $words =~ s/[@]\z/in server at $file:$server/
        or $words .= " in $file:$mark";

    my ($got) = $said =~ /\[emerg\] (?:\d+#\d+: )?(.*)/;

    is($got // $said, $words, "refused: $words");
    isnt($status, 0, '... with a status') if $status == 0;
}


# refused in server {}

sub refused {
    my ($words, $directives) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    refused_conf($words, server("mesh_pass dubbo;\n$directives #!"));
}


sub accepted {
    my ($name, $conf) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $said) = $t->check_conf($conf);

    is($status, 0, "accepted: $name") or diag($said);
}


sub invalid {
    my ($value, $directive, $right) = @_;

    return qq{invalid value "$value" in "$directive" directive, }
           . "it must be $right";
}


###############################################################################
# mesh_pass


for my $protocol ('x', 'Dubbo', 'bolt3', '') {
    refused_conf(qq{unknown protocol "$protocol" in "mesh_pass", }
                 . 'known are: auto, dubbo, bolt', server(qq{mesh_pass "$protocol"; #!}));
}

refused('"mesh_pass" directive is duplicate', 'mesh_pass dubbo;');

my $conflict = 'conflicts with another content directive';

refused_conf(qq{"mesh_pass" directive $conflict of the server, }
             . 'such as "proxy_pass", remove one of them',
             server("proxy_pass 127.0.0.1:1;\nmesh_pass dubbo; #!"));
refused_conf(qq{"mesh_pass" $conflict, such as "proxy_pass", }
             . 'remove one of them @',
             server("mesh_pass dubbo;\nproxy_pass 127.0.0.1:1;"));
refused_conf('"mesh_pass" directive is not allowed here',
             server('', 'mesh_pass dubbo; #!'));
refused_conf('"mesh_pass" does not serve "listen 127.0.0.1:'
             . $t->port('udp') . ' udp", remove "udp" @',
             server("mesh_pass dubbo;\nlisten 127.0.0.1:%%PORT_udp%% udp;"));

(my $bare = server('mesh_pass dubbo; #!')) =~ s/\Q$mesh\E//;
refused_conf('"mesh_pass" needs a "mesh { zone NAME:SIZE; }" block', $bare);


###############################################################################
# numbers


my $time = 'a time from 1ms to 24d, such as 500ms or 3s';
my @times = qw(mesh_timeout mesh_connect_timeout mesh_header_timeout
               mesh_client_timeout);

for my $name (@times) {
    refused(invalid($_, $name, $time), "$name $_;") for qw(0 x -1 25d);
    refused(qq{"$name" directive is duplicate}, "$name 1s;\n$name 1s;");
    refused(qq{invalid number of arguments in "$name" directive},
            "$name 1s 2s;");
}

my $heartbeat = '"off" or a time up to 24d, such as 15s';

refused(invalid($_, 'mesh_heartbeat', $heartbeat), "mesh_heartbeat $_;")
    for qw(x on 25d);
refused('"mesh_heartbeat" directive is duplicate',
        "mesh_heartbeat $_;\nmesh_heartbeat off;") for qw(off 0 1s);

my %sizes = (
    mesh_max_frame => 'a size from 64 to 2147483647 bytes, such as 8m',
    mesh_buffer_size => 'a size from 64 bytes to "mesh_max_frame", such as 16k',
    mesh_link_buffer => 'a size from 1k to 2147483647 bytes, such as 4m',
    mesh_client_buffer => 'a size from 1k to 2147483647 bytes, such as 4m',
);

for my $name (sort keys %sizes) {
    refused(invalid($_, $name, $sizes{$name}), "$name $_;")
        for qw(0 63 2048m x -1);
    refused(qq{"$name" directive is duplicate}, "$name 8k;\n$name 8k;");
}

refused(invalid($_, 'mesh_max_requests', 'a number from 1 to 1048576'),
        "mesh_max_requests $_;") for qw(0 1048577 x -1);
refused('"mesh_max_requests" directive is duplicate',
        "mesh_max_requests 1;\nmesh_max_requests 1;");

refused_conf('"mesh_buffer_size" 2097152 is larger than "mesh_max_frame" '
             . '1048576, make it smaller @',
             server("mesh_pass dubbo;\nmesh_buffer_size 2m;",
                    'mesh_max_frame 1m;'));
refused_conf('"mesh_buffer_size" 2097152 is larger than "mesh_max_frame" '
             . '1048576, make it smaller @',
             server("mesh_pass dubbo;\nmesh_max_frame 1m;",
                    'mesh_buffer_size 2m;'));

accepted('a server\'s own mesh_max_frame',
         server("mesh_pass dubbo;\nmesh_max_frame 4m;\nmesh_buffer_size 2m;",
                'mesh_max_frame 1m;'));
accepted('mesh_max_frame below the default mesh_buffer_size',
         server("mesh_pass dubbo;\nmesh_max_frame 1k;"));
accepted('a large mesh_buffer_size where nothing is passed',
         server("return x;\nmesh_max_frame 1k;\nmesh_buffer_size 1m;"));


###############################################################################
# words


my $links = 'links=N with N from 1 to 64';

refused(invalid('yes', 'mesh_multiplex', '"on" or "off"'),
        'mesh_multiplex yes;');
refused(invalid($_, 'mesh_multiplex', $links), "mesh_multiplex on $_;")
    for qw(links=0 links=65 links=x links= links=-1 link=2 2);
refused(invalid('links=2', 'mesh_multiplex', 'given with "on" only'),
        'mesh_multiplex off links=2;');
refused('"mesh_multiplex" directive is duplicate',
        "mesh_multiplex on;\nmesh_multiplex off;");

refused(invalid('on', 'mesh_deadline', '"auto", "always" or "off"'),
        'mesh_deadline on;');
refused('"mesh_deadline" directive is duplicate',
        "mesh_deadline auto;\nmesh_deadline off;");

my $next = 'one of error, timeout, off, tries=N and budget=N%';
my $tries = 'tries=N with N from 1 to 16';
my $budget = 'budget=N% with N from 0 to 100';

refused(invalid('http_500', 'mesh_next_upstream', $next),
        'mesh_next_upstream error http_500;');
refused(invalid($_, 'mesh_next_upstream', $tries),
        "mesh_next_upstream error $_;")
    for qw(tries=0 tries=17 tries=x tries=);
refused(invalid($_, 'mesh_next_upstream', $budget),
        "mesh_next_upstream error $_;")
    for qw(budget=20 budget=101% budget=x% budget=% budget= budget=-1%);
refused(invalid('off', 'mesh_next_upstream', 'the only parameter'),
        "mesh_next_upstream $_;") for 'error off', 'off tries=2';
refused('"mesh_next_upstream" directive needs at least one of "error", '
        . '"timeout" and "off"', 'mesh_next_upstream tries=2;');
refused('"mesh_next_upstream" directive is duplicate',
        "mesh_next_upstream error;\nmesh_next_upstream off;");

my $pattern = 'service:method, each with at most one "*" at its beginning '
              . 'or end, such as com.example.*:get*';

refused(invalid($_, 'mesh_idempotent', $pattern),
        qq{mesh_idempotent a:b "$_";})
    for '', ':', 'a', 'a:', ':b', 'a*b:c', '*a*:b', 'a:*b*', 'a:**', 'a:b*c';

refused('invalid number of arguments in "mesh_idempotent" directive',
        'mesh_idempotent;');

refused('"mesh_default_service" names service "com.example.Other" that no '
        . 'mesh {} block declares', 'mesh_default_service com.example.Other;');
refused('"mesh_default_service" directive is duplicate',
        "mesh_default_service com.example.Greeter:1.0.0;\n"
        . 'mesh_default_service com.example.Greeter:1.0.0;');
refused(invalid('', 'mesh_default_service', 'the name of a service in mesh {}'),
        'mesh_default_service "";');


###############################################################################
# the log


my $access = 'mesh_access_log %%DIR%%/rpc.log';

sub refused_format {
    my ($words, $format) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    refused_conf($words, server('mesh_pass dubbo;', "$format #!"));
}

refused_format('duplicate "mesh_log_format" name "mesh", choose another',
               "mesh_log_format mesh x;");
refused_format('duplicate "mesh_log_format" name "a", choose another',
               "mesh_log_format a x;\nmesh_log_format a y;");
refused_format(invalid('escape=xml', 'mesh_log_format',
                       'escape=default, escape=json or escape=none'),
               'mesh_log_format a escape=xml x;');
refused_format('invalid number of arguments in "mesh_log_format" directive',
               'mesh_log_format a;');

for (['$'], ['a $'], ['${'], ['${a'], ['${}'], ['${a b}'], ['$-']) {
    my ($at) = $$_[0] =~ /(\$.*)/;
    refused_format(qq{invalid variable at "$at", it must be \$name or }
                   . '${name}', qq{mesh_log_format a '$$_[0]';});
}

refused('"mesh_log_format" directive is not allowed here',
        'mesh_log_format a x;');
refused('invalid number of arguments in "mesh_access_log" directive',
        'mesh_access_log;');
refused(invalid('mesh', 'mesh_access_log', 'left out after "off"'),
        'mesh_access_log off mesh;');
refused('unknown format "rpc" in "mesh_access_log", define it with '
        . '"mesh_log_format" before', "$access rpc;");
refused(invalid($_, 'mesh_access_log', 'buffer=SIZE, such as buffer=64k'),
        "$access mesh $_;") for qw(buffer=0 buffer=x buffer=);
refused(invalid($_, 'mesh_access_log', 'flush=TIME, such as flush=1s'),
        "$access buffer=4k $_;") for qw(flush=0 flush=x flush=);
refused(invalid($_, 'mesh_access_log', 'buffer=, flush= or if='),
        "$access mesh $_;") for qw(gzip gzip=1 x=1);
refused('"flush=" in "mesh_access_log" needs "buffer=" for "'
        . $t->dir . '/rpc.log"', "$access mesh flush=1s;");
refused('duplicate "if=" in "mesh_access_log", combine the conditions in a map',
        "$access mesh if=a if=b;");
refused('invalid variable at "$", it must be $name or ${name}',
        "$access if=\$;");
refused('variables are not supported in "mesh_access_log", path '
        . '"/x/$pid.log" must be constant', 'mesh_access_log /x/$pid.log;');
refused('"mesh_access_log" "' . $t->dir . '/rpc.log" is a log with other '
        . 'parameters already, use the same or another file',
        "$access buffer=4k;\n$access buffer=8k;");
refused('logs to syslog cannot be buffered, remove "buffer=" of '
        . '"mesh_access_log"',
        'mesh_access_log syslog:server=127.0.0.1:514 buffer=4k;');
refused('unknown syslog parameter "x"', 'mesh_access_log syslog:x;');

my (undef, $said) = $t->check_conf(server('mesh_pass dubbo;',
    'mesh_log_format a $mesh_unknown;'));
like($said, qr/\[emerg\].* unknown "mesh_unknown" variable/,
     'refused: an unknown variable');


###############################################################################
# TLS


for my $name (qw(mesh_ssl mesh_ssl_session_reuse mesh_ssl_server_name
                 mesh_ssl_verify))
{
    refused(invalid('yes', $name, '"on" or "off"'), "$name yes;");
    refused(qq{"$name" directive is duplicate}, "$name on;\n$name on;");
}

for my $name (qw(mesh_ssl_name mesh_ssl_trusted_certificate mesh_ssl_crl
                 mesh_ssl_certificate mesh_ssl_certificate_key))
{
    refused(qq{variables are not supported in "$name", "\$a" must be constant},
            "$name \$a;");
    refused(qq{"$name" directive is duplicate}, "$name a;\n$name a;");
}

refused(invalid('TLS1.2', 'mesh_ssl_protocols',
                'TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3'),
        'mesh_ssl_protocols TLSv1.3 TLS1.2;');
refused('"mesh_ssl_protocols" directive is duplicate',
        "mesh_ssl_protocols TLSv1.2;\nmesh_ssl_protocols TLSv1.3;");
refused(invalid($_, 'mesh_ssl_verify_depth', 'a number from 0 to 100'),
        "mesh_ssl_verify_depth $_;") for qw(x -1 101);

sub refused_ssl {
    my ($words, $directives) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    refused_conf($words, server("mesh_pass dubbo;\nmesh_ssl on;\n$directives"));
}

refused_ssl('no "mesh_ssl_certificate_key" is defined for '
            . '"mesh_ssl_certificate" @', 'mesh_ssl_certificate a;');
refused_ssl('no "mesh_ssl_trusted_certificate" is defined for '
            . '"mesh_ssl_verify" @', 'mesh_ssl_verify on;');

for (['mesh_ssl_ciphers NOSUCH;', qr/SSL_CTX_set_cipher_list\("NOSUCH"\) fail/],
     ['mesh_ssl_certificate %%DIR%%/a; mesh_ssl_certificate_key %%DIR%%/b;',
      qr/cannot load certificate "\Q@{[ $t->dir ]}\E\/a"/],
     ['mesh_ssl_verify on; mesh_ssl_trusted_certificate %%DIR%%/a;',
      qr/\Q@{[ $t->dir ]}\E\/a/],
     ['mesh_ssl_password_file %%DIR%%/a;',
      qr/open\(\) "\Q@{[ $t->dir ]}\E\/a" failed/],
     ['mesh_ssl_conf_command NoSuch x;', qr/SSL_CONF_cmd\("NoSuch", "x"\) fail/])
{
    my ($directives, $expected) = @$_;

    my ($status, $said) =
        $t->check_conf(server("mesh_pass dubbo; mesh_ssl on; $directives"));

    isnt($status, 0, "refused: $directives");
    like($said, qr/\[emerg\].*$expected/, '... with the reason of OpenSSL');
}

accepted('broken TLS settings where mesh_ssl is off',
         server('mesh_pass dubbo; mesh_ssl_verify on;'));
accepted('a certificate taken back',
         server("mesh_pass dubbo;\nmesh_ssl_certificate '';",
                'mesh_ssl on; mesh_ssl_certificate %%DIR%%/none;'));


###############################################################################
# what is accepted


my $all = <<'CONF';
mesh_timeout 3s;
mesh_connect_timeout 500ms;
mesh_header_timeout 10s;
mesh_client_timeout 10m;
mesh_heartbeat 15s;
mesh_multiplex on links=64;
mesh_deadline always;
mesh_next_upstream error timeout tries=3 budget=100%;
mesh_idempotent com.example.*:get* *.Greeter:1.0.0:*Quickly *:*;
mesh_idempotent g/com.example.Greeter:1.0.0:sayHello;
mesh_max_frame 2147483647;
mesh_max_requests 1048576;
mesh_buffer_size 16k;
mesh_link_buffer 4m;
mesh_client_buffer 16m;
mesh_default_service com.example.Greeter:1.0.0;
mesh_access_log %%DIR%%/a.log rpc buffer=64k flush=1s if=$mesh_error;
mesh_access_log %%DIR%%/a.log rpc buffer=64k flush=1s;
mesh_access_log %%DIR%%/b.log;
mesh_access_log %%DIR%%/b.log if=$mesh_error$mesh_attachment_a;
mesh_access_log syslog:server=127.0.0.1:514,tag=mesh rpc;
mesh_ssl on;
mesh_ssl_session_reuse off;
mesh_ssl_protocols TLSv1.2 tlsv1.3;
mesh_ssl_ciphers HIGH;
mesh_ssl_name example.com;
mesh_ssl_server_name on;
mesh_ssl_verify off;
mesh_ssl_verify_depth 2;
mesh_ssl_conf_command Options PrioritizeChaCha;
CONF

my $format = "mesh_log_format rpc escape=json '\${mesh_service}x' \$pid;\n";

accepted('all the directives in a server',
         server("mesh_pass dubbo;\n$all", $format));
accepted('all the directives in stream {}',
         server('mesh_pass dubbo;', $format . $all));
accepted('all the directives in both',
         server("mesh_pass dubbo;\n$all", $format . $all));
accepted('all the directives without mesh_pass',
         server('return x;', $format . $all));

accepted('what is switched off', server(<<'CONF'));
mesh_pass dubbo;
mesh_heartbeat off;
mesh_multiplex off;
mesh_deadline off;
mesh_next_upstream off;
mesh_access_log off;
mesh_ssl off;
CONF

accepted('heartbeat 0 and a budget of nothing', server(<<'CONF'));
mesh_pass dubbo;
mesh_heartbeat 0;
mesh_next_upstream timeout budget=0%;
CONF

accepted('variables in maps', server('mesh_pass dubbo;', <<'CONF'));
map $mesh_attachment_dubbo_tag$mesh_app$mesh_protocol$mesh_interface $a {
    default $mesh_version$mesh_group$mesh_caller$mesh_status$mesh_result;
    x $mesh_upstream_addr$mesh_upstream_tries$mesh_route$mesh_revision;
}
mesh_log_format a '$a $mesh_request_id $mesh_request_time';
mesh_access_log %%DIR%%/a.log a;
CONF

$t->done;
