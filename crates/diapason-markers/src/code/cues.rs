//! What speaks for a programming language: sequences of one to three tokens with a weight.
//!
//! `^` is the start of a line, `_` any word, `S` a text in quotes, `$v` a name after a dollar.

/// Cues of one weight for one language or several.
pub(super) struct Cues {
    pub(super) languages: &'static [&'static str],
    pub(super) weight: f32,
    /// Separated by commas.
    pub(super) sequences: &'static str,
}

const fn cues(languages: &'static [&'static str], weight: f32, sequences: &'static str) -> Cues {
    Cues { languages, weight, sequences }
}

const SCRIPTS: &[&str] = &["javascript", "typescript"];

/// Texts that stand so in one language only, or in few.
#[rustfmt::skip]
pub(super) static CUES: &[Cues] = &[
    cues(&["python"], 4.0, "from _ import,def __init__,__name__ ==,in range (,import numpy,import pandas,if __name__ ==,^ elif,^ @ staticmethod,^ @ property"),
    cues(&["python"], 2.0, "^ def _,self .,is None,is not None,except _ :,lambda _ :,^ except,not in,^ try :,else :,) :,] :,len (,^ with _,-> List,: List ["),
    cues(&["python"], 1.0, "^ import _,print (,None,True,False,_ : ^,in _ :,^ for _,^ class _,and _,or _,str (,int (,list ("),
    cues(SCRIPTS, 2.5, "console .,===,!==,const _ =,module . exports,document .,window .,async function,await _,undefined,typeof _,const {,=> {,const [,new Promise,Math .,JSON ."),
    cues(SCRIPTS, 1.0, "function _ (,let _ =,function (,=> _,require (,} ) ;,var _ =,. length,( ) =>,) =>,export default,null,export const,import {,from S"),
    cues(&["javascript"], 0.8, "const _ =,let _ =,function _ (,var _ =,module . exports,require ("),
    cues(&["typescript"], 4.0, ": string,: number,: boolean,: void,: any,private readonly,as const,< T >,export interface,export type,: unknown,: Promise <,: Promise,string [ ],number [ ]"),
    cues(&["typescript"], 1.5, "interface _ {,type _ =,export class,export function,export const,constructor ( private,? :,readonly _,as _,enum _ {"),
    cues(&["cpp"], 4.0, "std ::,using namespace,cout <<,cin >>,nullptr,push_back (,vector <,unordered_map <,#include < iostream,#include < vector,#include < string,#include < algorithm,#include < map,static_cast <,const auto &,dynamic_cast <"),
    cues(&["cpp"], 2.0, "template <,public :,private :,<< S,<< endl,map <,auto _ =,:: _ (,class _ {,. size (,string &,const _ &,~ _ (,virtual _,. begin (,substr (,to_string (,vector <,map <"),
    cues(&["cpp"], 0.8, "bool _,string _ (,string _ =,( string,assert ("),
    cues(&["c"], 4.0, "malloc (,#include < stdio,#include < stdlib,typedef struct,free (,char *,calloc (,realloc (,scanf (,struct _ *"),
    cues(&["c"], 1.5, "printf (,sizeof (,NULL,#define _,-> _,int *,void *,( void ),unsigned _,struct _ {,* _ =,const char"),
    cues(&["c", "cpp"], 1.0, "#include <,#include S,#define _,#ifndef _,int main (,size_t,static int,int _ =,return 0 ;,for ( int"),
    cues(&["java"], 4.0, "System . out,import java,@ Override,implements _,private final,public static void,throws _,new ArrayList,new HashMap,new Scanner,static void main,ArrayList <,. equals (,extends _ {,public boolean"),
    cues(&["java"], 1.5, "public class,String [,String _,Integer,boolean _,List <,final _,private _,public int,^ package _,import javax,import org,int [ ],. length (,public List,. size (,. add ("),
    cues(&["csharp"], 4.0, "using System,Console .,get ;,set ;,async Task,IEnumerable <,^ using _,string . Join,namespace _,string . IsNullOrEmpty,. ToList (,. Length ;,public override"),
    cues(&["csharp"], 1.5, "public class,foreach ( var,foreach (,string [,private readonly,static void,var _ =,internal _,public static,string _,new List,List <,. Length,. Count,. Select (,. Where (,bool _,const int"),
    cues(&["go"], 4.0, "package main,fmt .,import (,!= nil,func ( _,:= range,map [,type _ struct,go func,err :=,[ ] int,[ ] string,[ ] float64,testing . T,== nil,[ ] byte"),
    cues(&["go"], 2.0, ":=,func _ (,^ package _,range _,chan _,defer _,append (,make (,type _ interface,) int {,) string {,) bool {,[ ] _,interface {,strings ."),
    cues(&["rust"], 4.0, "let mut,pub fn,println !,vec !,& mut,& str,use std,use crate,# [ derive,& self,-> Vec,. unwrap (,assert_eq !,Vec <,Option <,Result <,-> Option,format !,pub struct,# [ test,# [ cfg,match self"),
    cues(&["rust"], 2.0, "fn _ (,fn _ <,impl _,impl <,usize,i32,u32,i64,u64,f64 ,u8,Some (,Ok (,Err (,:: new (,. iter (,. collect (,match _ {,:: <,pub mod,mod _ {,let _ :"),
    cues(&["swift"], 4.0, "guard let,import Foundation,import SwiftUI,import UIKit,..<,inout,override func,func _ <,var body :,-> String {,-> Int {,-> Bool {,-> [,extension _ {,extension _ :,mutating func,private func,@ State,if let _,fileprivate"),
    cues(&["swift"], 1.5, "func _ (,let _ :,var _ :,init (,let _ =,nil,: Int,: String,: [,self .,struct _ :,. count,for _ in,?? _,case .,public func,-> _ {,protocol _,switch _ {,. append ("),
    cues(&["php"], 6.0, "<?php,$this ->,^ $v =,public function,$v ->,=> $v"),
    cues(&["php"], 2.0, "$v [,( $v,$v ),isset (,echo S,foreach ( $v,echo $v,private function,function _ (,$v =,array (,strlen (,count ( $v"),
    cues(&["shell"], 5.0, "#! / bin,#! / usr,^ fi,^ done,; then,; do,^ esac,| grep,^ sudo _,| awk,^ if [,^ set -,| sed,^ while read,^ elif [,- eq,- gt,- lt,- ne,in * ),> / dev"),
    cues(&["shell"], 2.0, "^ echo _,^ echo S,$ {,$ (,^ export _,^ then,[ - ,^ cd _,^ mkdir _,^ local _,$v /,^ source _,^ apt,^ pip install,^ npm _,^ git _,^ docker _,^ curl _,^ chmod _,^ rm -,^ ls -,^ ls,^ cp _,^ grep _,$ 1,$ @,$ #,( ) {,^ do,^ read _,^ case _"),
    cues(&["kotlin"], 4.0, "fun _ (,val _ =,val _ :,data class,listOf (,mutableListOf,when (,when {,import kotlin,fun main,companion object,override fun,fun <,mutableMapOf,arrayOf (,private val,fun _ .,intArrayOf,: IntArray,until _,downTo _,lateinit var,sealed class,emptyList ("),
    cues(&["kotlin"], 1.5, "println (,: Int,: String,var _ =,it .,is _ ->,^ package _,: List <,List <,? :,. forEach {,. map {,: Boolean,object _ {,var _ :,) : _,internal _,) : Int,. size,( _ in"),
    cues(&["ruby"], 4.0, "^ end,do |,puts S,puts _,attr_accessor :,attr_reader :,^ elsif,def self,{ |,. each do,^ unless _,require_relative S,^ puts,. nil ?,. empty ?,each_with_index"),
    cues(&["ruby"], 1.5, "^ def _,require S,| _ |,nil,unless _,module _,. new (,end .,@ _ =,do ^,. each,. map,: _ =>,=> S,^ class _,. times,& :,return _ if,^ require"),
    cues(&["haskell"], 4.0, "| otherwise,^ import qualified,import Data,import Control,module _ where,deriving (,mapM_,putStrLn,IO (,main ::,data _ =,^ newtype _,deriving _,^ instance _,\\ _ ->,_ :: Int,[ Int ],:: [,foldr,^ main =,>>=,. fromIntegral,<$>"),
    cues(&["haskell"], 2.0, "_ ::,-> _ ->,^ where,<- _,Maybe,Just _,Nothing,case _ of,_ = do,++,where ^,] -> [,] ->,^ | _,otherwise =,=> _ ->,let _,$ _,Int ->,a ->"),
    cues(&["sql"], 5.0, "INSERT INTO,CREATE TABLE,GROUP BY,ORDER BY,LEFT JOIN,INNER JOIN,DELETE FROM,PRIMARY KEY,ALTER TABLE,DROP TABLE,SELECT *,UPDATE _ SET,PARTITION BY,SELECT DISTINCT,UNION ALL,FOREIGN KEY,FULL OUTER,COUNT ( *,CREATE VIEW,CREATE INDEX,IF EXISTS,SELECT COUNT"),
    cues(&["sql"], 2.0, "SELECT _,WHERE _,JOIN _,VARCHAR (,COUNT (,VALUES (,NOT NULL,FROM _,HAVING _,SUM (,LIMIT _,ON _,INTEGER,IS NULL,BEGIN,DECLARE @"),
    cues(&["cobol"], 6.0, "IDENTIFICATION DIVISION,PROCEDURE DIVISION,DATA DIVISION,WORKING - STORAGE,STOP RUN,PROGRAM - ID,PIC _,ENVIRONMENT DIVISION,LINKAGE SECTION,PIC X,FILE SECTION"),
    cues(&["cobol"], 2.5, "DISPLAY S,MOVE _ TO,PERFORM _,END - IF,END - PERFORM,ACCEPT _,COMPUTE _,END - EVALUATE,VARYING _,GOBACK .,EXIT .,MOVE S TO,PERFORM UNTIL,SECTION .,DISPLAY _"),
];

/// Labels of code fences.
#[rustfmt::skip]
pub(super) static LABELS: &[(&str, &[&str])] = &[
    ("python", &["python", "py", "python3", "py3", "ipython"]),
    ("javascript", &["javascript", "js", "jsx", "node", "mjs"]),
    ("cpp", &["cpp", "c++", "cc", "cxx", "hpp"]),
    ("cobol", &["cobol", "cob", "cbl"]),
    ("java", &["java"]),
    ("go", &["go", "golang"]),
    ("rust", &["rust", "rs"]),
    ("swift", &["swift"]),
    ("csharp", &["csharp", "c#", "cs"]),
    ("php", &["php"]),
    ("typescript", &["typescript", "ts", "tsx"]),
    ("shell", &["shell", "sh", "bash", "zsh", "console", "shellscript"]),
    ("c", &["c", "h"]),
    ("kotlin", &["kotlin", "kt", "kts"]),
    ("ruby", &["ruby", "rb"]),
    ("haskell", &["haskell", "hs"]),
    ("sql", &["sql", "mysql", "postgresql", "postgres", "sqlite", "plsql", "tsql"]),
];
