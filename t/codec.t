#!/usr/bin/perl

# Unit tests of the codecs: t/codec/*.c under the address and undefined
# behaviour sanitizers.

use strict;
use warnings;

use Compress::Zlib qw(crc32);
use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/codec";
use Build;

my @common = qw(t/unit/tap.c t/codec/test.c t/codec/stub.c);


sub slurp {
    my ($file) = @_;
    open(my $fh, '<', "$FindBin::Bin/vectors/$file") or die "$file: $!";
    local $/;
    return decode_json(<$fh>);
}


sub utf8 {
    my ($text) = @_;
    utf8::encode($text);
    return unpack('H*', $text);
}


# the method behind $invoke, which the recorder did not look for

my %generic = ('generic-true' => 'person', 'generic-gson' => 'person',
               'generic-exception' => 'fail');


# what a decoder must find, in the words of t/codec/vectors.c

sub dubbo {
    my ($name, $f) = @_;
    my %fact = (id => $f->{id}, serialization => $f->{serialization});
    my $kind = $f->{kind};

    if ($kind eq 'event' || $kind eq 'event-response') {
        $fact{kind} = $kind eq 'event' ? $f->{event} : 'ack';
        return %fact;
    }

    if ($kind eq 'response') {
        $fact{kind} = 'response';
        $fact{status} = $f->{status};
        $fact{result} = $f->{status} != 20 ? 'error'
                        : $f->{result_flag} % 3 == 0 ? 'exception' : 'ok';
        return %fact;
    }

    my $version = $f->{version} // '';

    $fact{kind} = $f->{twoway} ? 'request' : 'oneway';
    $fact{service} = $f->{service};
    $fact{version} = $version eq '0.0.0' ? '' : $version;
    $fact{group} = $f->{group} // '';
    $fact{timeout} = $f->{timeout} // -1;
    $fact{method} = $f->{method};
    $fact{generic} = 0;
    $fact{v202} = 1;

    if ($f->{method} eq '$invoke') {
        my ($case) = $name =~ /\.([\w-]+)\.req/;
        $fact{method} = $generic{$case};
        $fact{generic} = 1;
    }

    if ($f->{descriptor} =~ /^jsonb:7938..(.*)/) {
        $f->{arguments} = $fact{generic} ? 3 : 5;
        $fact{'descriptor-begins'} = pack('H*', $1);
    } else {
        $fact{descriptor} = $f->{descriptor};
    }

    $fact{arguments} = $f->{arguments};

    my $attachments = $f->{attachments};
    $fact{app} = $attachments->{'remote.application'} // '';
    $fact{"attachment.$_"} = $attachments->{$_} for keys %$attachments;

    return %fact;
}


sub bolt {
    my ($f) = @_;
    my %fact = (id => $f->{id}, serialization => $f->{codec},
                variant => $f->{proto} == 1 ? 1 : $f->{ver1} + 1);

    if ($f->{cmdcode} == 0) {
        $fact{kind} = $f->{kind} eq 'request' ? 'heartbeat' : 'ack';
        return %fact;
    }

    my $header = $f->{header};

    $fact{kind} = $f->{kind};

    if ($f->{kind} eq 'response') {
        $fact{status} = $f->{status};
        $fact{result} = $f->{status} || $f->{is_error} ? 'error'
                        : $header->{sofa_head_response_error} ? 'exception'
                        : 'ok';
        return %fact;
    }

    @fact{'service', 'version'} =
        split(/:/, $f->{service} // $header->{service}, 2);

    $fact{method} = $f->{method} // $header->{sofa_head_method_name};
    $fact{app} = $header->{app} // '';
    $fact{deadline} = $f->{timeout} > 0 ? $f->{timeout} : 0;
    $fact{timeout} = -1;
    $fact{"attachment.$_"} = $header->{$_} for keys %$header;

    return %fact;
}


# a request of Hessian names its service in its content as well

sub headless {
    my ($f, $hex) = @_;
    my $bytes = pack('H*', $hex);
    my $head = 22 + 2 * ($f->{proto} == 2);

    substr($bytes, $head + $f->{class_length}, $f->{header_length}) = '';
    substr($bytes, $head - 6, 2) = "\0\0";

    if ($f->{crc}) {
        substr($bytes, -4) = '';
        $bytes .= pack('N', crc32($bytes));
    }

    return unpack('H*', $bytes);
}


# the constructed frames have no facts beside them

my %call = (kind => 'request', serialization => 2, service => 'com.x.Hello',
            method => 'sayHello', 'attachment.path' => 'com.x.Hello',
            'attachment.Interface' => 'com.x.Hello');

my %sofa = (kind => 'request', id => 0x11223344, serialization => 1,
            service => 'com.x.Hello', version => '1.0', method => 'sayHello',
            deadline => 3000, 'attachment.Service' => 'com.x.Hello:1.0');

my %constructed = (
    dubbo_req => { %call, id => '72623859790382856', version => '1.0',
                   timeout => 3000,
                   descriptor => 'Ljava/lang/String;', arguments => 1 },
    dubbo_generic => { %call, id => 11, version => '', generic => 1,
                       'attachment.generic' => 'true', arguments => 3 },
    dubbo_res => { kind => 'response', status => 20, result => 'ok' },
    dubbo_res_null => { kind => 'response', status => 20, result => 'ok' },
    dubbo_res_null_old => { kind => 'response', status => 20,
                            result => 'ok' },
    dubbo_ex => { kind => 'response', status => 20, id => 9,
                  result => 'exception' },
    dubbo_err70 => { kind => 'response', status => 70, result => 'error' },
    dubbo_hb => { kind => 'heartbeat', id => 9, serialization => 2 },
    dubbo_hb_res => { kind => 'ack', id => 9, status => 20 },
    dubbo_readonly => { kind => 'readonly', id => 10 },
    bolt1_req => { %sofa, variant => 1 },
    bolt2_req_crc => { %sofa, variant => 3 },
    bolt1_res => { kind => 'response', status => 0, result => 'ok' },
    bolt1_res_err_body => { kind => 'response', status => 0,
                            result => 'error' },
    bolt1_status_only_noproc => { kind => 'response', status => 6,
                                  result => 'error' },
    bolt1_status_only_timeout => { kind => 'response', status => 7,
                                   result => 'error' },
    bolt1_status_only_serverex => { kind => 'response', status => 2,
                                    result => 'error' },
    bolt2_res_status_only_crc => { kind => 'response', status => 7,
                                   result => 'error', variant => 3 },
    bolt1_hb => { kind => 'heartbeat', id => 7, deadline => 0 },
    bolt1_hback => { kind => 'ack', id => 7, status => 0 },
    bolt2_hb_v1 => { kind => 'heartbeat', id => 7, variant => 2 },
    bolt2_hback_v1 => { kind => 'ack', id => 7, variant => 2 },
    bolt1_goaway_mosn => { kind => 'readonly', id => 0 },
    dubbo_hb_fj2 => { kind => 'heartbeat', id => 9, serialization => 23 },
);


sub vectors {
    my $text = '';
    my $java = slurp('frames-java.json');

    my $add = sub {
        my ($name, $hex, %fact) = @_;
        $text .= "frame $name\nhex $hex\n"
                 . join('', map { "fact $_ " . utf8($fact{$_}) . "\n" }
                            sort keys %fact)
                 . "end\n";
    };

    for my $name (sort keys %$java) {
        my ($hex, $f) = @{ $java->{$name} }{'hex', 'facts'};

        if ($f->{protocol} eq 'dubbo') {
            $add->($name, $hex, dubbo($name, $f));
            next;
        }

        $add->($name, $hex, bolt($f));

        if ($f->{arg_sigs}) {
            my %f = (%$f, header => {});
            $add->("$name, no map", headless($f, $hex), bolt(\%f));
        }
    }

    for my $file ('frames.json', 'frames2.json') {
        my $frames = slurp($file);
        for my $name (sort keys %$frames) {
            die "$name has no facts" unless $constructed{$name};
            $add->("$file $name", $frames->{$name}, %{ $constructed{$name} });
        }
    }

    open(my $fh, '>', "$Build::out/vectors.txt") or die $!;
    print $fh $text;
    close($fh) or die $!;

    return "$Build::out/vectors.txt";
}


for my $name (qw(vectors edit edit_bytes dubbo hessian2 fastjson text bolt sofa
                 declared tree)) {
    subtest $name => sub {
        my $program = Build::program("codec-$name", $ENV{CC} || 'gcc',
                                     [@Build::sanitize], @common,
                                     "t/codec/$name.c");

        ok($program, 'compiles') or return;
        Build::tap(Build::run([$program], $name =~ /^(vectors|edit)$/
                                          ? vectors() : undef));
    };
}


# figures to look at, not to hold against anybody

subtest bench => sub {
    my $program = Build::program('codec-bench', $ENV{CC} || 'gcc',
                                 ['-g', '-O2'], @common, 't/codec/bench.c');

    ok($program, 'compiles') or return;
    my ($output, $status) = Build::run([$program, 20]);
    is($status, 0, 'runs');
    note($output);
};

done_testing();
